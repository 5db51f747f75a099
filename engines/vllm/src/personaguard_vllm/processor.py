"""The operator of `op.py` on a processor.

It gathers the rows that are wanted: in a long prompt that is one of thousands. What is wide, the
stream and the vectors, is torch's; the rest is NumPy's.
"""

import numpy as np
import torch

from personaguard_vllm.buffers import Count, Field, Flag
from personaguard_vllm.host import Host

# Members of an enumeration are slow indices.
_COLUMN, _IS_CAP, _ADD = int(Field.COLUMN), int(Field.IS_CAP), int(Field.ADD)
_LOW, _HIGH = int(Field.LOW), int(Field.HIGH)
_GATE, _GATE_COLUMN = int(Field.GATE), int(Field.GATE_COLUMN)
_GATE_ABOVE, _GATE_UNTIL = int(Field.GATE_ABOVE), int(Field.GATE_UNTIL)
_ON = {
    int(Flag.PROMPT): int(Field.ON_PROMPT),
    int(Flag.PROMPT_LAST): int(Field.ON_PROMPT),
    int(Flag.RESPONSE): int(Field.ON_RESPONSE),
}


def tap(hidden: torch.Tensor, residual: torch.Tensor | None, host: Host, layer: int) -> None:
    """Reads, then changes, the rows that are wanted."""
    counts = host.counts
    count = int(counts[Count.ROWS])
    if count == 0 or not counts[Count.LAYERS + layer]:
        return
    at = host.rows[:count]
    # They rise: as many as there are, are all.
    wanted = None if count == hidden.shape[0] else torch.from_numpy(at)
    part = _taken(hidden, wanted)
    stream = part if residual is None else part + _taken(residual, wanted)
    columns, vectors = host.at(layer)
    projections = torch.mm(stream, vectors.T).numpy()
    host.readings[at[:, None], columns] = projections
    if counts[Count.PROMPT_ENDS]:
        owner, is_last = host.owners[at], host.flags[at] == Flag.PROMPT_LAST
        host.prompt_last[owner[is_last, None], columns] = projections[is_last]
    if counts[Count.CHANGES]:
        _change(hidden, part, projections, host, layer)


def _taken(values: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
    return (values if rows is None else values.index_select(0, rows)).float()


def _change(
    hidden: torch.Tensor, part: torch.Tensor, projections: np.ndarray, host: Host, layer: int
) -> None:
    """Changes those rows of `hidden` for which `part` has what they are."""
    at = host.rows[: len(projections)]
    columns, vectors = host.at(layer)
    places = {column: place for place, column in enumerate(columns.tolist())}
    products = host.gram[columns[:, None], columns].tolist()
    changed: list[int] = []
    amounts: list[list[float]] = []
    # One row after the other, in plain numbers: there are few, and those of a long prompt are few
    # beside what the model computes for them.
    rows = zip(at.tolist(), host.owners[at].tolist(), host.flags[at].tolist(), strict=True)
    for number, (row, owner, flag) in enumerate(rows):
        plan = host.plans[owner, : host.counts[Count.CHANGES]].tolist()
        acting = [
            change
            for place, change in enumerate(plan)
            if change[_ON[flag]] > 0
            and change[_COLUMN] in places
            and _is_open(change, row, (owner, place), host)
        ]
        if acting:
            changed.append(number)
            amounts.append(_amounts(acting, places, projections[number].tolist(), products))
    if not changed:
        return
    added = torch.mm(torch.from_numpy(np.array(amounts, dtype=np.float32)), vectors)
    numbers = torch.from_numpy(np.array(changed))
    result = part.index_select(0, numbers).add_(added).to(hidden.dtype)
    hidden.index_copy_(0, torch.from_numpy(at[changed]), result)


def _is_open(change: list[float], row: int, place: tuple[int, int], host: Host) -> bool:
    """Whether the condition of a change holds at a row, which comes after those before it. `place`
    is the change's own in `gates`."""
    gate, column = change[_GATE], int(change[_GATE_COLUMN])
    if gate == 0:
        return True
    # A projection that is not a number is above nothing.
    if gate == 2:
        return bool(host.prompt_last[place[0], column] > change[_GATE_ABOVE])
    bound = change[_GATE_UNTIL if host.gates[place] else _GATE_ABOVE]
    is_open = bool(host.readings[row, column] > bound)
    host.gates[place] = is_open
    return is_open


def _amounts(
    plan: list[list[float]],
    places: dict[int, int],
    projections: list[float],
    products: list[list[float]],
) -> list[float]:
    """How much of each unit vector is added to a row, one change after the other."""
    amounts = [0.0] * len(projections)
    for change in plan:
        place = places[int(change[_COLUMN])]
        if change[_IS_CAP] > 0:
            value = projections[place]
            amount = min(max(value, change[_LOW]), change[_HIGH]) - value
        else:
            amount = change[_ADD]
        amounts[place] += amount
        for other, product in enumerate(products[place]):
            projections[other] += amount * product
    return amounts
