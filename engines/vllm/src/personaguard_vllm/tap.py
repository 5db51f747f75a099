"""Puts the operator after blocks of the model."""

from typing import Any

import torch

# Two are imported for what they register: `torch.ops.personaguard.tap` and `.states`.
from personaguard_vllm import op, processor
from personaguard_vllm import states_op as _states_op  # noqa: F401
from personaguard_vllm.buffers import Buffers
from personaguard_vllm.host import Host
from personaguard_vllm.refusal import UnsupportedError
from personaguard_vllm.states import StateBuffers
from personaguard_vllm.supported import BLOCKS


class Tap(torch.nn.Module):
    """The operator with its buffers. It is part of the block: tracing knows what is persistent."""

    def __init__(self, buffers: Buffers, layer: int) -> None:
        super().__init__()
        self.layer = layer
        for name, tensor in buffers.tensors().items():
            self.register_buffer(name, tensor, persistent=False)
        self._host = None if op.is_on_gpu(buffers.units) else Host(buffers)

    def forward(self, hidden: torch.Tensor, residual: torch.Tensor | None) -> None:
        if not torch.compiler.is_compiling() and self._host is not None:
            # What the operator does there, without torch's way to it.
            processor.tap(hidden, residual, self._host, self.layer)
            return
        torch.ops.personaguard.tap(
            hidden,
            residual,
            self.units,
            self.gram,
            self.layers,
            self.plans,
            self.prompt_last,
            self.gates,
            self.readings,
            self.rows,
            self.owners,
            self.flags,
            self.counts,
            self.layer,
        )


class StatesTap(torch.nn.Module):
    """The operator that sums the stream at one layer; 0 is what the first block gets."""

    def __init__(self, buffers: StateBuffers, layer: int) -> None:
        super().__init__()
        self.layer = layer
        for name, tensor in buffers.tensors().items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, hidden: torch.Tensor, residual: torch.Tensor | None) -> None:
        torch.ops.personaguard.states(
            hidden, residual, self.sums, self.rows, self.targets, self.count, self.layer
        )


def find_blocks(model: torch.nn.Module, count: int) -> torch.nn.ModuleList:
    """The model's blocks.

    Raises:
        UnsupportedError: there are none of a known class.
    """
    lists = [
        module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList)
        and name.split(".")[-1] == "layers"
        and len(module) == count
    ]
    if len(lists) != 1:
        raise UnsupportedError(
            f"this model has {len(lists)} lists of {count} blocks, not one; it "
            "cannot be guarded yet"
        )
    kind = type(lists[0][0]).__name__
    if kind not in BLOCKS:
        known = ", ".join(sorted(BLOCKS))
        raise UnsupportedError(
            f"the blocks of this model are of class {kind}; those that can be guarded are {known}"
        )
    return lists[0]


def attach(
    blocks: torch.nn.ModuleList,
    layers: tuple[int, ...],
    buffers: Buffers,
    states: StateBuffers | None = None,
) -> None:
    """Taps these layers, 1-based; and all of them for sums of states, where those can be asked for.

    Raises:
        UnsupportedError: the model has no such layer.
    """
    if layers[-1] > len(blocks):
        raise UnsupportedError(
            f"PERSONAGUARD_LAYERS has {layers[-1]}, and this model has {len(blocks)} layers"
        )
    for layer, block in enumerate(blocks, 1):
        is_tapped = layer in layers
        if is_tapped:
            block.personaguard = Tap(buffers, layer)
        if states is not None:
            block.personaguard_states = StatesTap(states, layer)
            if layer == 1:
                block.personaguard_embedded = StatesTap(states, 0)
        if is_tapped or states is not None:
            sums = states is not None
            block.__class__ = _tapped(type(block), is_tapped, sums, sums and layer == 1)


def _tapped(kind: Any, is_tapped: bool, sums: bool, sums_input: bool) -> type:
    """A subclass whose blocks end with the operators. Only tapped blocks get it.

    Sums come first: like projections, they are of the stream before it is changed there.
    """

    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        if sums_input:
            # Blocks take positions, then the stream; nothing is left over from a block before.
            embedded = named["hidden_states"] if "hidden_states" in named else arguments[1]
            self.personaguard_embedded(embedded, None)
        output = kind.forward(self, *arguments, **named)
        hidden, residual = (output[0], output[1]) if isinstance(output, tuple) else (output, None)
        if sums:
            self.personaguard_states(hidden, residual)
        if is_tapped:
            self.personaguard(hidden, residual)
        return output

    return type(f"Tapped{kind.__name__}", (kind,), {"forward": forward})
