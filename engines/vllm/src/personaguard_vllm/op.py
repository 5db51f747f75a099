"""The operator after each tapped block: reads projections, then makes the plan's changes.

One opaque operator on persistent buffers, so that it means the same eagerly, under `torch.compile`
and inside a CUDA graph. On a processor (`processor.py`) it gathers the rows that are wanted. A
graph cannot depend on how many are wanted, and a GPU wants few and large kernels: there, `fused.py`
has one that looks at every row.

As in Personaguard's own engine, projections are read before anything is changed at a layer, and
changes follow one another in the plan's order. They are computed on projections: a change moves the
projections on all vectors by their products with its own, so the stream is read once and written
once.
"""

import torch

from personaguard_vllm import processor
from personaguard_vllm.buffers import Buffers
from personaguard_vllm.host import Host

_LIBRARY = torch.library.Library("personaguard", "FRAGMENT")
_LIBRARY.define(
    "tap(Tensor(a!) hidden, Tensor? residual, Tensor units, Tensor gram, Tensor layers,"
    " Tensor plans, Tensor(b!) prompt_last, Tensor(c!) gates, Tensor(d!) readings, Tensor rows,"
    " Tensor owners, Tensor flags, Tensor counts, int layer) -> ()"
)


def tap(
    hidden: torch.Tensor,
    residual: torch.Tensor | None,
    units: torch.Tensor,
    gram: torch.Tensor,
    layers: torch.Tensor,
    plans: torch.Tensor,
    prompt_last: torch.Tensor,
    gates: torch.Tensor,
    readings: torch.Tensor,
    rows: torch.Tensor,
    owners: torch.Tensor,
    flags: torch.Tensor,
    counts: torch.Tensor,
    layer: int,
) -> None:
    """Reads and changes `hidden`, the part of the residual stream that the block returned first.

    `residual` is the rest of the stream, where the block returns it apart.
    """
    shared = Buffers(
        units, gram, layers, plans, prompt_last, gates, readings, rows, owners, flags, counts
    )
    if is_on_gpu(hidden):
        from personaguard_vllm import fused

        fused.tap(hidden, residual, shared, layer)
    else:
        processor.tap(hidden, residual, Host(shared), layer)


def is_on_gpu(tensor: torch.Tensor) -> bool:
    return tensor.is_cuda


def _shapes(*_arguments: object) -> None:
    """What tracing needs to know: nothing new is made."""


_LIBRARY.impl("tap", tap, "CompositeExplicitAutograd")
torch.library.register_fake("personaguard::tap", _shapes, lib=_LIBRARY)
