"""The tensors that the model's graph and the plugin share.

They are made once and only written in place: graphs that were compiled or captured keep reading
the same memory.
"""

from dataclasses import dataclass, fields
from enum import IntEnum

import torch

from personaguard_vllm.columns import COLUMNS
from personaguard_vllm.plan import MAX_CHANGES


class Field(IntEnum):
    """What a plan says about one change, in order."""

    COLUMN = 0
    ON_PROMPT = 1
    ON_RESPONSE = 2
    IS_CAP = 3
    ADD = 4
    """The coefficient times the vector's norm: what is added to the projection."""
    LOW = 5
    HIGH = 6
    GATE = 7
    """0 without a condition, 1 read at each token, 2 at the prompt's last token."""
    GATE_COLUMN = 8
    GATE_ABOVE = 9
    GATE_UNTIL = 10


class Flag(IntEnum):
    """What a row of the batch is."""

    PROMPT = 0
    RESPONSE = 1
    PROMPT_LAST = 2


class Count(IntEnum):
    """What `Buffers.counts` has, in order."""

    ROWS = 0
    """How many of `rows` hold."""
    CHANGES = 1
    """How many changes the longest plan has; 0 where none acts in this step."""
    PROMPT_ENDS = 2
    """How many rows are the last of a prompt."""
    VERSION = 3
    """Another one, once a column has another vector."""
    LAYERS = 4
    """From here on, for each layer from 0, whether it has a vector."""


@dataclass(frozen=True)
class Buffers:
    """All of them, for `requests` requests and `tokens` rows of a batch."""

    units: torch.Tensor
    """[columns, hidden], F32: the vectors, normalised; zero where there is none."""
    gram: torch.Tensor
    """[columns, columns], F32: their products with one another."""
    layers: torch.Tensor
    """[columns], int64: the layer of each; 0 where there is none."""
    plans: torch.Tensor
    """[requests + 1, changes, fields], F32. The last one changes nothing."""
    prompt_last: torch.Tensor
    """[requests + 1, columns], F32: each request's projections at its prompt's end."""
    gates: torch.Tensor
    """[requests + 1, changes], F32: 1 where a condition that is read at each token held at the
    request's last one, else 0."""
    readings: torch.Tensor
    """[tokens, columns], F32: the projections, for each row of the batch."""
    rows: torch.Tensor
    """[tokens], int64: the rows of the batch that are read or changed, first."""
    owners: torch.Tensor
    """[tokens], int64: whose plan holds for each row of the batch."""
    flags: torch.Tensor
    """[tokens], int64: what each row of the batch is (`Flag`)."""
    counts: torch.Tensor
    """[`Count.LAYERS` + layers of the model + 1], int64, on the CPU: what `Count` says."""

    @property
    def nobody(self) -> int:
        """Number of the plan that changes nothing."""
        return self.plans.shape[0] - 1

    def tensors(self) -> dict[str, torch.Tensor]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def make(layers: int, hidden: int, requests: int, tokens: int, device: torch.device) -> Buffers:
    """New buffers, in which nothing is wanted and nothing changed."""

    def zeros(*shape: int, kind: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.zeros(shape, dtype=kind, device=device)

    return Buffers(
        units=zeros(COLUMNS, hidden),
        gram=zeros(COLUMNS, COLUMNS),
        layers=zeros(COLUMNS, kind=torch.int64),
        plans=zeros(requests + 1, MAX_CHANGES, len(Field)),
        prompt_last=zeros(requests + 1, COLUMNS),
        gates=zeros(requests + 1, MAX_CHANGES),
        readings=zeros(tokens, COLUMNS),
        rows=zeros(tokens, kind=torch.int64),
        owners=torch.full((tokens,), requests, dtype=torch.int64, device=device),
        flags=zeros(tokens, kind=torch.int64),
        counts=torch.zeros(Count.LAYERS + layers + 1, dtype=torch.int64),
    )
