"""A set of persona vectors, as the sidecar sends it."""

import hashlib
import math
import struct
from dataclasses import dataclass
from functools import cached_property

from personaguard_vllm.plan import MAX_SLOTS

_HEAD = struct.Struct("<QBI")
_LAYER = struct.Struct("<I")
# Its square must be a number in F32, in which norms are made.
_LARGEST = 1e15


class SetError(Exception):
    """A set of vectors that cannot be used, or is not here. The text says why."""


@dataclass(frozen=True)
class Vector:
    """A persona vector, raw, at its layer (1-based)."""

    layer: int
    content: bytes
    """Its values, as little-endian F32."""

    @cached_property
    def name(self) -> str:
        """A digest of layer and values: vectors that are equal are kept once."""
        return hashlib.sha256(_LAYER.pack(self.layer) + self.content).hexdigest()

    @property
    def values(self) -> tuple[float, ...]:
        return struct.unpack(f"<{len(self.content) // 4}f", self.content)


@dataclass(frozen=True)
class VectorSet:
    """Vectors by slot."""

    number: int
    vectors: tuple[Vector, ...]


def encode(number: int, vectors: list[Vector]) -> bytes:
    """The inverse of `decode`."""
    hidden = len(vectors[0].content) // 4 if vectors else 0
    body = b"".join(_LAYER.pack(vector.layer) + vector.content for vector in vectors)
    return _HEAD.pack(number, len(vectors), hidden) + body


def decode(payload: bytes, hidden: int, layers: tuple[int, ...]) -> VectorSet:
    """Reads a set from hostile bytes, for a model of that hidden size, tapped at those layers.

    Raises:
        SetError: it cannot be used. The number of the set can be read all the same.
    """
    if len(payload) < _HEAD.size:
        raise SetError("the message ends before its first vector")
    number, slots, width = _HEAD.unpack_from(payload)
    if not 1 <= slots <= MAX_SLOTS:
        raise SetError(f"a set has 1 to {MAX_SLOTS} vectors, not {slots}")
    if width != hidden:
        raise SetError(f"the vectors have {width} values; this model's hidden size is {hidden}")
    size = _LAYER.size + 4 * hidden
    if len(payload) != _HEAD.size + slots * size:
        raise SetError("the message does not end with its last vector")
    starts = range(_HEAD.size, len(payload), size)
    vectors = tuple(
        Vector(_LAYER.unpack_from(payload, start)[0], payload[start + _LAYER.size : start + size])
        for start in starts
    )
    for slot, vector in enumerate(vectors):
        _check(slot, vector, layers)
    return VectorSet(number, vectors)


def number_of(payload: bytes) -> int:
    """The set's number, as far as it is there."""
    return int.from_bytes(payload[:8], "little")


def _check(slot: int, vector: Vector, layers: tuple[int, ...]) -> None:
    if vector.layer not in layers:
        tapped = ", ".join(map(str, layers))
        raise SetError(
            f"the vector in slot {slot} is for layer {vector.layer}, and the layers that are "
            f"tapped are {tapped}; add it to PERSONAGUARD_LAYERS and restart the engine"
        )
    values = vector.values
    if not all(map(math.isfinite, values)) or not any(values):
        raise SetError(f"the vector in slot {slot} is zero, or has a value that is not finite")
    if max(map(abs, values)) > _LARGEST:
        raise SetError(f"the vector in slot {slot} has a value beyond {_LARGEST:g}")
