"""Which rows of a batch are read, changed and told, by whose plan. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from personaguard_vllm.buffers import Flag


@dataclass(slots=True)
class Span:
    """The rows of one request in one step of the engine: its tokens `first..first + count`."""

    owner: int
    """Number of its plan."""
    start: int
    """Its first row in the batch."""
    count: int
    first: int
    """Position of its first token in the request."""
    prompt: int
    """Tokens of its prompt. What is past them is response, also where it is computed again."""
    changes_prompt: bool
    changes: bool


@dataclass(slots=True)
class Told:
    """Rows of one request whose projections are told: the prompt's last token and the response."""

    span: Span
    first: int
    """Position of the first."""
    row: int
    """Its row in the batch."""
    count: int


class Step(NamedTuple):
    """What one step does."""

    rows: np.ndarray
    """Rows that are read or changed, rising."""
    owners: np.ndarray
    """For each row of the batch, whose plan holds."""
    flags: np.ndarray
    """For each row of the batch, what it is."""
    changed: list[int]
    """Numbers of the plans that change something in it."""
    told: list[Told]
    begun: list[int]
    """Numbers of the plans whose prompts end in it."""


def plan_step(spans: list[Span], tokens: int, nobody: int) -> Step:
    """Lays out a step of `tokens` rows. Rows in no span belong to `nobody`."""
    # Lists: most spans are of one row, for which NumPy takes longer.
    owners, flags = [nobody] * tokens, [int(Flag.PROMPT)] * tokens
    read: list[int] = []
    told: list[Told] = []
    changed: list[int] = []
    begun: list[int] = []
    for span in spans:
        end = span.start + span.count
        last = span.start + span.prompt - 1 - span.first
        owners[span.start : end] = [span.owner] * span.count
        response = min(max(last + 1, span.start), end)
        flags[response:end] = [int(Flag.RESPONSE)] * (end - response)
        if span.start <= last < end:
            flags[last] = int(Flag.PROMPT_LAST)
            begun.append(span.owner)
        read_from = min(max(last, span.start), end)
        if read_from < end:
            told.append(Told(span, span.first + read_from - span.start, read_from, end - read_from))
        from_row = span.start if span.changes_prompt else read_from
        read += range(from_row, end)
        if span.changes and from_row < end:
            changed.append(span.owner)
    rows, numbers, kinds = (np.array(values, dtype=np.int64) for values in (read, owners, flags))
    return Step(rows, numbers, kinds, changed, told, begun)
