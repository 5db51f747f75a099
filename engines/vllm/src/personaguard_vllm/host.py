"""The buffers as NumPy sees them, where a processor computes: views of the same memory.

Between two steps a model has gone through the processor's caches, and each operation of torch then
costs ten times what it does in a loop. Most of what the plugin does to a step is a few numbers, for
which NumPy needs less.
"""

import numpy as np
import torch

from personaguard_vllm.buffers import Buffers, Count


class Host:
    """Made once for buffers that stay."""

    def __init__(self, buffers: Buffers) -> None:
        self.units = buffers.units
        self.gram: np.ndarray = buffers.gram.numpy()
        self.layers: np.ndarray = buffers.layers.numpy()
        self.plans: np.ndarray = buffers.plans.numpy()
        self.prompt_last: np.ndarray = buffers.prompt_last.numpy()
        self.gates: np.ndarray = buffers.gates.numpy()
        self.readings: np.ndarray = buffers.readings.numpy()
        self.rows: np.ndarray = buffers.rows.numpy()
        self.owners: np.ndarray = buffers.owners.numpy()
        self.flags: np.ndarray = buffers.flags.numpy()
        self.counts: np.ndarray = buffers.counts.numpy()
        self._at: dict[int, tuple[int, np.ndarray, torch.Tensor]] = {}

    def at(self, layer: int) -> tuple[np.ndarray, torch.Tensor]:
        """The columns that have a vector of this layer, and those vectors."""
        version = int(self.counts[Count.VERSION])
        known = self._at.get(layer)
        if known is None or known[0] != version:
            columns = np.flatnonzero(self.layers == layer)
            known = version, columns, self.units.index_select(0, torch.from_numpy(columns))
            self._at[layer] = known
        return known[1], known[2]
