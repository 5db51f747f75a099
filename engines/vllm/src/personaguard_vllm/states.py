"""Mean states of requests that ask for them: the residual stream at every layer, from the embedding
output on, summed over the tokens of prompt and response.

They are of what the engine takes for the prompt. An answer is therefore sent once more, behind its
prompt: then all of its tokens are read, its last one too.
"""

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
import torch

from personaguard_vllm.columns import NoRoomError
from personaguard_vllm.steps import Scheduled

# Requests that are summed at a time: a large model has 8 MB for each.
PLACES = 64


class Sum(IntEnum):
    """What a line of the sums is of, for each place."""

    PROMPT = 0
    PROMPT_LAST = 1
    RESPONSE = 2


@dataclass(frozen=True)
class StateBuffers:
    """What the model's graph and the plugin share; written in place only."""

    sums: torch.Tensor
    """[places * 3 + 1, layers + 1, hidden], F32. Nobody reads the last line."""
    rows: torch.Tensor
    """[tokens + places], int64: the rows of the batch that are added, first."""
    targets: torch.Tensor
    """[tokens + places], int64: the line that each is added to."""
    count: torch.Tensor
    """[1], int64, on the CPU: how many of `rows` hold."""

    def tensors(self) -> dict[str, torch.Tensor]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def make(layers: int, hidden: int, tokens: int, device: torch.device) -> StateBuffers:
    """New buffers, in which nothing is wanted."""
    lines = len(Sum) * PLACES
    return StateBuffers(
        sums=torch.zeros(lines + 1, layers + 1, hidden, device=device),
        rows=torch.zeros(tokens + PLACES, dtype=torch.int64, device=device),
        targets=torch.full((tokens + PLACES,), lines, dtype=torch.int64, device=device),
        count=torch.zeros(1, dtype=torch.int64),
    )


@dataclass
class Sending:
    """One request whose states are summed."""

    id: str
    """How the sidecar calls it."""
    place: int
    prompt: int
    """Tokens of its prompt."""
    tokens: int
    """Tokens of prompt and response."""
    done: int = 0
    """Tokens that are in the sums."""
    is_told: bool = False


class States:
    """The plugin's side of the buffers."""

    def __init__(self, buffers: StateBuffers) -> None:
        self._buffers = buffers
        self._free = list(range(PLACES - 1, -1, -1))
        self._nobody = len(Sum) * PLACES
        self._rows: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []
        self._before = 0
        self._complete: list[Sending] = []

    def hold(self, name: str, prompt: int, tokens: int) -> Sending:
        """A place for a request of so many tokens.

        Raises:
            NoRoomError: there is none.
        """
        if not self._free:
            raise NoRoomError(f"{PLACES} requests that ask for states run already")
        return Sending(name, self._free.pop(), prompt, tokens)

    def release(self, sending: Sending) -> None:
        """The request has ended."""
        self._free.append(sending.place)

    def add(self, sending: Sending, rows: Scheduled) -> None:
        """The next pass computes these rows of a request."""
        if sending.is_told:
            return
        first, begin = rows.first, len(Sum) * sending.place
        if first == 0:
            # It begins; or begins again, after a preemption.
            self._buffers.sums[begin : begin + len(Sum)].zero_()
            sending.done = 0
        count = min(rows.count, sending.tokens - first)
        if first != sending.done or count <= 0:
            # Tokens are missing. It is not told, and whoever waits for it takes that for a fault.
            sending.done = -1
            return
        positions = np.arange(first, first + count)
        lines = np.where(positions < sending.prompt, int(Sum.PROMPT), int(Sum.RESPONSE))
        self._rows.append(rows.start + positions - first)
        self._targets.append(begin + lines)
        last = sending.prompt - 1
        if first <= last < first + count:
            self._rows.append(np.array([rows.start + last - first]))
            self._targets.append(np.array([begin + Sum.PROMPT_LAST]))
        sending.done = first + count
        if sending.done == sending.tokens:
            sending.is_told = True
            self._complete.append(sending)

    def write(self) -> None:
        """Says what the next pass is to do."""
        rows = np.concatenate(self._rows) if self._rows else np.empty(0, dtype=np.int64)
        targets = np.concatenate(self._targets) if self._rows else np.empty(0, dtype=np.int64)
        self._rows, self._targets = [], []
        count = len(rows)
        buffers = self._buffers
        buffers.rows[:count].copy_(torch.from_numpy(rows))
        buffers.targets[:count].copy_(torch.from_numpy(targets))
        if count < self._before:
            # A captured graph looks at them all.
            buffers.rows[count : self._before].zero_()
            buffers.targets[count : self._before].fill_(self._nobody)
        buffers.count[0] = count
        self._before = count

    def take(self) -> list[tuple[Sending, torch.Tensor]]:
        """After the pass was launched: the sums that are complete, `[3, layers + 1, hidden]`."""
        complete, self._complete = self._complete, []
        # Copies: the place is another request's soon.
        return [(sending, self._lines(sending.place).clone()) for sending in complete]

    def _lines(self, place: int) -> torch.Tensor:
        return self._buffers.sums[len(Sum) * place : len(Sum) * (place + 1)]
