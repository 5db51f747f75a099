"""Writes vectors, plans and steps into the buffers."""

import numpy as np
import torch

from personaguard_vllm.buffers import Buffers, Count, Field
from personaguard_vllm.columns import Columns
from personaguard_vllm.host import Host
from personaguard_vllm.plan import Change, Plan, Positions
from personaguard_vllm.rows import Step
from personaguard_vllm.vectors import Vector


class Table:
    """The plugin's side of the buffers."""

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self.host = Host(buffers) if buffers.units.is_cpu else None
        self._counts: np.ndarray = buffers.counts.numpy()
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
        tokens = len(step.owners)
        upto, owners = max(tokens, self._rows_before), step.owners
        if upto > tokens:
            owners = np.full(upto, self.buffers.nobody, dtype=np.int64)
            owners[:tokens] = step.owners
        self._put("owners", owners)
        self._put("flags", step.flags)
        self._put("rows", step.rows)
        # What a pass does not compute must not look like a projection.
        if self.host is None:
            self.buffers.readings[:upto].fill_(torch.nan)
        else:
            self.host.readings[:upto] = np.nan
        self._counts[Count.ROWS] = len(step.rows)
        self._counts[Count.PROMPT_ENDS] = len(step.begun)
        if step.changed:
            for line in step.begun:
                self.buffers.gates[line].zero_()
        changes = (self._changes[line] for line in step.changed)
        self._counts[Count.CHANGES] = max(changes, default=0)
        self._rows_before = tokens

    def _put(self, name: str, values: np.ndarray) -> None:
        """Writes the first values of a buffer."""
        if self.host is None:
            buffer: torch.Tensor = getattr(self.buffers, name)
            buffer[: len(values)].copy_(torch.from_numpy(values))
        else:
            getattr(self.host, name)[: len(values)] = values

    def clear(self) -> None:
        """The next forward pass is none of a request's: nothing is read or changed."""
        self.buffers.owners[: self._rows_before].fill_(self.buffers.nobody)
        self._counts[[Count.ROWS, Count.CHANGES, Count.PROMPT_ENDS]] = 0
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
        self._counts[Count.LAYERS :] = 0
        self._counts[Count.LAYERS + buffers.layers.cpu().numpy()] = 1
        self._counts[Count.VERSION] += 1

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
            entry[Field.GATE_UNTIL] = change.gate.until
