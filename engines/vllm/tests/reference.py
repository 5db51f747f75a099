"""What the operator must compute, one row and one change at a time, in double precision."""

from dataclasses import dataclass

import numpy as np
from personaguard_vllm.plan import Change, Positions


@dataclass
class Row:
    """One row of a batch at one layer."""

    stream: np.ndarray
    is_response: bool
    prompt_last: np.ndarray
    """The request's projections at its prompt's last token, by slot."""


def projections(stream: np.ndarray, vectors: list[np.ndarray]) -> np.ndarray:
    """The projection on each vector."""
    return np.array([stream @ vector / np.linalg.norm(vector) for vector in vectors])


def changed(
    row: Row, layer: int, vectors: list[np.ndarray], layers: list[int], changes: list[Change]
) -> np.ndarray:
    """The residual stream after the layer, by the definitions of steering and capping."""
    before = projections(row.stream, vectors)
    stream = row.stream.copy()
    here = Positions.RESPONSE if row.is_response else Positions.PROMPT
    for change in changes:
        if layers[change.slot] != layer or not change.positions & here:
            continue
        if change.gate is not None:
            seen = row.prompt_last if change.gate.at_prompt_last else before
            if not seen[change.gate.slot] > change.gate.above:
                continue
        vector = vectors[change.slot]
        if change.add is not None:
            stream = stream + change.add * vector
        else:
            unit = vector / np.linalg.norm(vector)
            value = stream @ unit
            stream = stream - (value - min(max(value, change.low), change.high)) * unit
    return stream
