"""The operator of `op.py` as two kernels, for GPUs.

There a step takes a few milliseconds, and a hundred small operations would be a good part of it.
A kernel has a program for each row of the batch; rows of nobody, and those of prompts that are
only read over, end at once. So the same graph serves any plan. All readings are made before any
change: a row of the response can depend on the one at its prompt's end, in the same step, and on
those before it. What a request's last row leaves to the next step is written when no row reads it
any more.
"""

import torch
import triton
import triton.language as tl

from personaguard_vllm.buffers import Buffers, Field, Flag
from personaguard_vllm.columns import COLUMNS
from personaguard_vllm.plan import MAX_CHANGES

# Values of the stream that a program has in hand at once, for all columns.
_BLOCK = 512
_WARPS = 8
# A kernel sees constants of its module only where they say that they are some.
_FIELDS = tl.constexpr(len(Field))
_COLUMN = tl.constexpr(int(Field.COLUMN))
_ON_PROMPT = tl.constexpr(int(Field.ON_PROMPT))
_ON_RESPONSE = tl.constexpr(int(Field.ON_RESPONSE))
_IS_CAP = tl.constexpr(int(Field.IS_CAP))
_ADD = tl.constexpr(int(Field.ADD))
_LOW = tl.constexpr(int(Field.LOW))
_HIGH = tl.constexpr(int(Field.HIGH))
_GATE = tl.constexpr(int(Field.GATE))
_GATE_COLUMN = tl.constexpr(int(Field.GATE_COLUMN))
_GATE_ABOVE = tl.constexpr(int(Field.GATE_ABOVE))
_GATE_UNTIL = tl.constexpr(int(Field.GATE_UNTIL))
_PROMPT = tl.constexpr(int(Flag.PROMPT))
_RESPONSE = tl.constexpr(int(Flag.RESPONSE))
_PROMPT_LAST = tl.constexpr(int(Flag.PROMPT_LAST))


def tap(hidden: torch.Tensor, residual: torch.Tensor | None, buffers: Buffers, layer: int) -> None:
    """Reads, then changes, each row by the plan of its owner."""
    tokens, width = hidden.shape
    few = {"COLUMNS": COLUMNS, "CHANGES": MAX_CHANGES, "num_warps": _WARPS}
    wide = few | {"BLOCK": _BLOCK}
    rest = hidden if residual is None else residual
    plans = (buffers.layers, buffers.plans, buffers.prompt_last, buffers.readings)
    rows = (buffers.owners, buffers.flags, layer, buffers.nobody, width, hidden.stride(0))
    _read[(tokens,)](
        hidden,
        rest,
        buffers.units,
        *plans,
        *rows,
        rest.stride(0),
        HAS_REST=residual is not None,
        **wide,
    )
    _change[(tokens,)](
        hidden, buffers.units, buffers.gram, *plans, *rows, gates=buffers.gates, **wide
    )
    _remember[(tokens,)](*plans, *rows[:4], tokens, gates=buffers.gates, **few)


@triton.jit
def _acting(
    plan: tl.tensor,
    layers: tl.tensor,
    layer: tl.tensor,
    flag: tl.tensor,
    CHANGES: tl.constexpr,  # noqa: N803
) -> tl.tensor:
    """Which changes of a plan act at this layer on such a row, but for their conditions."""
    numbers = tl.arange(0, CHANGES)
    is_on = tl.load(
        plan + numbers * _FIELDS + tl.where(flag == _RESPONSE, _ON_RESPONSE, _ON_PROMPT)
    )
    column = tl.load(plan + numbers * _FIELDS + _COLUMN).to(tl.int32)
    return (is_on > 0) & (tl.load(layers + column) == layer)


@triton.jit
def _read(
    hidden: tl.tensor,
    rest: tl.tensor,
    units: tl.tensor,
    layers: tl.tensor,
    plans: tl.tensor,
    prompt_last: tl.tensor,
    readings: tl.tensor,
    owners: tl.tensor,
    flags: tl.tensor,
    layer: tl.tensor,
    nobody: tl.tensor,
    width: tl.tensor,
    hidden_stride: tl.tensor,
    rest_stride: tl.tensor,
    HAS_REST: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
    CHANGES: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    row = tl.program_id(0).to(tl.int64)
    owner = tl.load(owners + row)
    flag = tl.load(flags + row)
    if owner == nobody:
        return
    if flag == _PROMPT:
        plan = plans + owner * CHANGES * _FIELDS
        if tl.sum(_acting(plan, layers, layer, flag, CHANGES).to(tl.int32)) == 0:
            return
    columns = tl.arange(0, COLUMNS)
    here = tl.load(layers + columns) == layer
    projections = tl.zeros([COLUMNS], tl.float32)
    for start in range(0, width, BLOCK):
        at = start + tl.arange(0, BLOCK)
        inside = at < width
        stream = tl.load(hidden + row * hidden_stride + at, mask=inside, other=0.0).to(tl.float32)
        if HAS_REST:
            other = tl.load(rest + row * rest_stride + at, mask=inside, other=0.0)
            stream += other.to(tl.float32)
        unit = tl.load(
            units + columns[:, None] * width + at[None, :],
            mask=here[:, None] & inside[None, :],
            other=0.0,
        )
        projections += tl.sum(unit * stream[None, :], axis=1)
    tl.store(readings + row * COLUMNS + columns, projections, mask=here)
    if flag == _PROMPT_LAST:
        tl.store(prompt_last + owner * COLUMNS + columns, projections, mask=here)


@triton.jit
def _is_open(
    row: tl.tensor,
    owner: tl.tensor,
    plan: tl.tensor,
    prompt_last: tl.tensor,
    readings: tl.tensor,
    owners: tl.tensor,
    flags: tl.tensor,
    gates: tl.tensor,
    COLUMNS: tl.constexpr,  # noqa: N803
    CHANGES: tl.constexpr,  # noqa: N803
) -> tl.tensor:
    """Whether the condition of each change holds at a row.

    What is above `above` opens it, and what is not above `until` closes it, whatever came before.
    Between the two it is as it was: so the row is looked for, among those before, that decides.
    """
    numbers = tl.arange(0, CHANGES)
    gate = tl.load(plan + numbers * _FIELDS + _GATE)
    gated_by = tl.load(plan + numbers * _FIELDS + _GATE_COLUMN).to(tl.int32)
    above = tl.load(plan + numbers * _FIELDS + _GATE_ABOVE)
    until = tl.load(plan + numbers * _FIELDS + _GATE_UNTIL)
    last = tl.load(prompt_last + owner * COLUMNS + gated_by)
    # A projection that is not a number is above nothing.
    is_open = (gate == 0) | ((gate == 2) & (last > above))
    is_known = gate != 1
    at = row
    left = tl.sum((~is_known).to(tl.int32))
    while left > 0:
        seen = tl.load(readings + at * COLUMNS + gated_by)
        is_open |= ~is_known & (seen > above)
        is_known |= (seen > above) | ~(seen > until)
        at -= 1
        owner_there = tl.load(owners + at, mask=at >= 0, other=-1)
        flag_there = tl.load(flags + at, mask=at >= 0, other=_PROMPT)
        is_response = (owner_there == owner) & (flag_there == _RESPONSE)
        left = tl.where(is_response, tl.sum((~is_known).to(tl.int32)), 0)
    before = tl.load(gates + owner * CHANGES + numbers)
    return is_open | (~is_known & (before > 0))


@triton.jit
def _change(
    hidden: tl.tensor,
    units: tl.tensor,
    gram: tl.tensor,
    layers: tl.tensor,
    plans: tl.tensor,
    prompt_last: tl.tensor,
    readings: tl.tensor,
    owners: tl.tensor,
    flags: tl.tensor,
    layer: tl.tensor,
    nobody: tl.tensor,
    width: tl.tensor,
    hidden_stride: tl.tensor,
    gates: tl.tensor,
    COLUMNS: tl.constexpr,  # noqa: N803
    CHANGES: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    row = tl.program_id(0).to(tl.int64)
    owner = tl.load(owners + row)
    if owner == nobody:
        return
    plan = plans + owner * CHANGES * _FIELDS
    numbers = tl.arange(0, CHANGES)
    acting = _acting(plan, layers, layer, tl.load(flags + row), CHANGES)
    if tl.sum(acting.to(tl.int32)) == 0:
        return
    acting &= _is_open(
        row, owner, plan, prompt_last, readings, owners, flags, gates, COLUMNS, CHANGES
    )
    if tl.sum(acting.to(tl.int32)) == 0:
        return
    columns = tl.arange(0, COLUMNS)
    projections = tl.load(readings + row * COLUMNS + columns)
    amounts = tl.zeros([COLUMNS], tl.float32)
    end = tl.max(tl.where(acting, numbers + 1, 0))
    for number in range(0, end):
        if tl.sum(tl.where(numbers == number, acting.to(tl.int32), 0)) > 0:
            change = plan + number * _FIELDS
            column = tl.load(change + _COLUMN).to(tl.int32)
            value = tl.sum(tl.where(columns == column, projections, 0.0))
            low, high = tl.load(change + _LOW), tl.load(change + _HIGH)
            bounded = tl.minimum(tl.maximum(value, low), high)
            amount = tl.load(change + _ADD)
            amount = tl.where(tl.load(change + _IS_CAP) > 0, bounded - value, amount)
            amounts += tl.where(columns == column, amount, 0.0)
            products = tl.load(gram + column * COLUMNS + columns)
            projections += amount * products
    changed = amounts != 0
    for start in range(0, width, BLOCK):
        at = start + tl.arange(0, BLOCK)
        inside = at < width
        place = hidden + row * hidden_stride + at
        part = tl.load(place, mask=inside, other=0.0)
        unit = tl.load(
            units + columns[:, None] * width + at[None, :],
            mask=changed[:, None] & inside[None, :],
            other=0.0,
        )
        new = part.to(tl.float32) + tl.sum(unit * amounts[:, None], axis=0)
        tl.store(place, new.to(part.dtype), mask=inside)


@triton.jit
def _remember(
    layers: tl.tensor,
    plans: tl.tensor,
    prompt_last: tl.tensor,
    readings: tl.tensor,
    owners: tl.tensor,
    flags: tl.tensor,
    layer: tl.tensor,
    nobody: tl.tensor,
    tokens: tl.tensor,
    gates: tl.tensor,
    COLUMNS: tl.constexpr,  # noqa: N803
    CHANGES: tl.constexpr,  # noqa: N803
) -> None:
    """Leaves to the next step which conditions hold at the last row of each request."""
    row = tl.program_id(0).to(tl.int64)
    owner = tl.load(owners + row)
    after = tl.load(owners + row + 1, mask=row + 1 < tokens, other=-1)
    flag = tl.load(flags + row)
    if (owner == nobody) | (owner == after) | (flag != _RESPONSE):
        return
    plan = plans + owner * CHANGES * _FIELDS
    numbers = tl.arange(0, CHANGES)
    acting = _acting(plan, layers, layer, flag, CHANGES)
    if tl.sum(acting.to(tl.int32)) == 0:
        return
    is_open = _is_open(
        row, owner, plan, prompt_last, readings, owners, flags, gates, COLUMNS, CHANGES
    )
    tl.store(gates + owner * CHANGES + numbers, is_open.to(tl.float32), mask=acting)
