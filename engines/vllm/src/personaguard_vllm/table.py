"""Writes vectors, plans and steps into the buffers."""

import numpy as np
import torch

from personaguard_vllm.buffers import Buffers, Field
from personaguard_vllm.columns import Columns
from personaguard_vllm.plan import Change, Plan, Positions
from personaguard_vllm.rows import Step
from personaguard_vllm.vectors import Vector


class Table:
    """The plugin's side of the buffers."""

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self._columns = Columns()
        self._norms: dict[str, float] = {}
        self._free = list(range(buffers.nobody - 1, -1, -1))
        self._changes = [0] * buffers.nobody
        self._rows_before = 0

    def hold(self, vectors: tuple[Vector, ...]) -> tuple[int, ...]:
        """Writes those vectors that are new, and keeps all of them until `release`.

        Returns their columns.

        Raises:
            NoRoomError: running requests use too many.
        """
        held: list[Vector] = []
        try:
            for vector in vectors:
                if self._columns.find(vector.name) is None:
                    self._write_vector(vector, self._columns.place(vector.name))
                self._columns.hold(vector.name)
                held.append(vector)
        except Exception:
            self.release(tuple(held))
            raise
        places = (self._columns.find(vector.name) for vector in vectors)
        return tuple(place for place in places if place is not None)

    def release(self, vectors: tuple[Vector, ...]) -> None:
        """A request that held them has ended."""
        for vector in vectors:
            self._columns.release(vector.name)

    def add(self, plan: Plan, vectors: tuple[Vector, ...], columns: tuple[int, ...]) -> int:
        """Gives a request its line, whose number it returns."""
        line = self._free.pop()
        entries = torch.zeros(self.buffers.plans.shape[1:])
        for entry, change in zip(entries, plan.changes, strict=False):
            self._write_change(entry, change, vectors, columns)
        self.buffers.plans[line].copy_(entries)
        self.buffers.prompt_last[line].fill_(torch.nan)
        self._changes[line] = len(plan.changes)
        return line

    def remove(self, line: int) -> None:
        """Frees the line of a request that has ended."""
        self._changes[line] = 0
        self._free.append(line)

    def write(self, step: Step) -> None:
        """Says what the next forward pass is to do."""
        buffers, count = self.buffers, len(step.rows)
        tokens = len(step.owners)
        upto = max(tokens, self._rows_before)
        owners = np.full(upto, buffers.nobody, dtype=np.int64)
        owners[:tokens] = step.owners
        buffers.owners[:upto].copy_(torch.from_numpy(owners))
        buffers.flags[:tokens].copy_(torch.from_numpy(step.flags))
        buffers.rows[:count].copy_(torch.from_numpy(step.rows))
        # What a pass does not compute must not look like a projection.
        buffers.readings[:upto].fill_(torch.nan)
        buffers.counts[0] = count
        buffers.counts[1] = max((self._changes[line] for line in step.changed), default=0)
        self._rows_before = tokens

    def clear(self) -> None:
        """The next forward pass is none of a request's: nothing is read or changed."""
        self.buffers.owners[: self._rows_before].fill_(self.buffers.nobody)
        self.buffers.counts[:2] = 0
        self._rows_before = 0

    def _write_vector(self, vector: Vector, column: int) -> None:
        buffers = self.buffers
        values = torch.tensor(vector.values, dtype=torch.float64)
        norm = torch.linalg.vector_norm(values)
        self._norms[vector.name] = float(norm)
        buffers.units[column].copy_((values / norm).float())
        products = buffers.units @ buffers.units[column]
        buffers.gram[column].copy_(products)
        buffers.gram[:, column].copy_(products)
        buffers.layers[column] = vector.layer
        buffers.counts[2:] = 0
        buffers.counts[2 + buffers.layers.cpu()] = 1

    def _write_change(
        self,
        entry: torch.Tensor,
        change: Change,
        vectors: tuple[Vector, ...],
        columns: tuple[int, ...],
    ) -> None:
        entry[Field.COLUMN] = columns[change.slot]
        entry[Field.ON_PROMPT] = bool(change.positions & Positions.PROMPT)
        entry[Field.ON_RESPONSE] = bool(change.positions & Positions.RESPONSE)
        if change.add is None:
            entry[Field.IS_CAP] = 1
            entry[Field.LOW], entry[Field.HIGH] = change.low, change.high
        else:
            entry[Field.ADD] = change.add * self._norms[vectors[change.slot].name]
        if change.gate is not None:
            entry[Field.GATE] = 2 if change.gate.at_prompt_last else 1
            entry[Field.GATE_COLUMN] = columns[change.gate.slot]
            entry[Field.GATE_ABOVE] = change.gate.above
