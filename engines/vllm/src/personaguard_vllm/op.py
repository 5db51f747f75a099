"""The operator after each tapped block: reads projections, then makes the plan's changes.

One opaque operator on persistent buffers, so that it means the same eagerly, under `torch.compile`
and inside a CUDA graph. On a processor it gathers the rows that are wanted: in a long prompt that
is one of thousands. A graph cannot depend on how many are wanted, and a GPU wants few and large
kernels: there, `fused.py` has one that looks at every row.

As in Personaguard's own engine, projections are read before anything is changed at a layer, and
changes follow one another in the plan's order. They are computed on projections: a change moves the
projections on all vectors by their products with its own, so the stream is read once and written
once.
"""

import torch

from personaguard_vllm.buffers import Field, Flag

_LIBRARY = torch.library.Library("personaguard", "FRAGMENT")
_LIBRARY.define(
    "tap(Tensor(a!) hidden, Tensor? residual, Tensor units, Tensor gram, Tensor layers,"
    " Tensor plans, Tensor(b!) prompt_last, Tensor(c!) readings, Tensor rows, Tensor owners,"
    " Tensor flags, Tensor counts, int layer) -> ()"
)


def tap(
    hidden: torch.Tensor,
    residual: torch.Tensor | None,
    units: torch.Tensor,
    gram: torch.Tensor,
    layers: torch.Tensor,
    plans: torch.Tensor,
    prompt_last: torch.Tensor,
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
    if _is_on_gpu(hidden):
        from personaguard_vllm import fused

        fused.tap(
            hidden,
            residual,
            units,
            gram,
            layers,
            plans,
            prompt_last,
            readings,
            owners,
            flags,
            layer,
        )
        return
    count, changes = int(counts[0]), int(counts[1])
    if count == 0 or not counts[2 + layer]:
        return
    wanted = rows[:count]
    part = hidden.index_select(0, wanted).float()
    stream = part if residual is None else part + residual.index_select(0, wanted).float()
    owner, flag = owners.index_select(0, wanted), flags.index_select(0, wanted)

    here = layers == layer
    projections = stream @ units.T
    seen = torch.where(here, projections, readings.index_select(0, wanted))
    readings.index_copy_(0, wanted, seen)
    last = torch.where((flag == Flag.PROMPT_LAST).unsqueeze(1) & here, seen, prompt_last[owner])
    # Rows that are no prompt's last write to the line of nobody: two of a request would race.
    line = torch.where(flag == Flag.PROMPT_LAST, owner, plans.shape[0] - 1)
    prompt_last[line] = last
    if not changes:
        return

    plan = plans[owner, :changes]
    is_response = (flag == Flag.RESPONSE).unsqueeze(1)
    acting = torch.where(is_response, plan[..., Field.ON_RESPONSE], plan[..., Field.ON_PROMPT]) > 0
    column = plan[..., Field.COLUMN].long()
    acting &= here[column] & _is_open(plan, seen, prompt_last[owner])
    amounts = _amounts(plan, column, acting, projections, gram)
    result = (part + amounts @ units).to(hidden.dtype)
    hidden.index_copy_(0, wanted, result)


def _is_open(plan: torch.Tensor, seen: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """Whether each change's condition holds at each row."""
    gate, column = plan[..., Field.GATE], plan[..., Field.GATE_COLUMN].long()
    value = torch.where(gate == 1, seen.gather(1, column), last.gather(1, column))
    # A projection that is not a number is above nothing.
    return (gate == 0) | (value > plan[..., Field.GATE_ABOVE])


def _amounts(
    plan: torch.Tensor,
    column: torch.Tensor,
    acting: torch.Tensor,
    projections: torch.Tensor,
    gram: torch.Tensor,
) -> torch.Tensor:
    """How much of each unit vector is added to each row, one change after the other."""
    amounts = torch.zeros_like(projections)
    for number in range(plan.shape[1]):
        change, at = plan[:, number], column[:, number : number + 1]
        value = projections.gather(1, at).squeeze(1)
        bounded = torch.minimum(torch.maximum(value, change[:, Field.LOW]), change[:, Field.HIGH])
        amount = torch.where(change[:, Field.IS_CAP] > 0, bounded - value, change[:, Field.ADD])
        amount = torch.where(acting[:, number], amount, 0.0).unsqueeze(1)
        amounts.scatter_add_(1, at, amount)
        projections = projections + amount * gram[at.squeeze(1)]
    return amounts


def _is_on_gpu(tensor: torch.Tensor) -> bool:
    return tensor.is_cuda


def _shapes(*_arguments: object) -> None:
    """What tracing needs to know: nothing new is made."""


_LIBRARY.impl("tap", tap, "CompositeExplicitAutograd")
torch.library.register_fake("personaguard::tap", _shapes, lib=_LIBRARY)
