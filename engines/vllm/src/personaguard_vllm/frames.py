"""The messages on the socket, as bytes: PROTOCOL.md says what they mean.

Everything that comes in is hostile until it has been read here.
"""

import json
import struct
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

PROTOCOL = 1
MAX_MESSAGE = 16 * 1024 * 1024
MAX_ID = 64
_LENGTH = struct.Struct("<I")
_ROWS = struct.Struct("<QBH")
_PART = struct.Struct("<III")
_HEAD = struct.Struct("<I")
MAX_HEAD = 1024
LENGTH_BYTES = _LENGTH.size


class Kind(IntEnum):
    """The first byte of each message."""

    HELLO = 1
    VECTORS_ANSWER = 2
    ROWS = 3
    COUNTS = 4
    STATES = 5
    SYNCED = 6
    VECTORS = 65
    ABORT = 66
    SYNC = 67


class FrameError(Exception):
    """A message that cannot be read. The text says why; the connection is ended."""


class Part(NamedTuple):
    """What one request was measured at in one step."""

    id: str
    set_number: int
    prompt: int
    first: int
    """Position of the first row: prompt - 1 is the prompt's last token, what follows response."""
    readings: np.ndarray
    """[rows, slots], F32."""


def frame(kind: Kind, payload: bytes) -> bytes:
    """One message."""
    return _LENGTH.pack(1 + len(payload)) + bytes([kind]) + payload


def text_frame(kind: Kind, value: dict[str, Any]) -> bytes:
    """A message that holds JSON."""
    return frame(kind, json.dumps(value, separators=(",", ":")).encode())


def rows_frames(parts: list[Part]) -> bytes:
    """What a step measured: a message for each set that its requests use."""
    sets: dict[tuple[int, int], list[Part]] = {}
    for part in parts:
        sets.setdefault((part.set_number, part.readings.shape[1]), []).append(part)
    return b"".join(_rows_frame(number, slots, own) for (number, slots), own in sets.items())


def _rows_frame(number: int, slots: int, parts: list[Part]) -> bytes:
    content = [_ROWS.pack(number, slots, len(parts))]
    for part in parts:
        content.append(bytes([len(part.id)]) + part.id.encode("ascii"))
        content.append(_PART.pack(part.prompt, part.first, part.readings.shape[0]))
        content.append(np.ascontiguousarray(part.readings, dtype="<f4").tobytes())
    return frame(Kind.ROWS, b"".join(content))


def states_frame(name: str, of: str, tokens: int, values: np.ndarray) -> bytes:
    """States of a request, `[layers + 1, hidden]`: a mean over so many tokens."""
    layers, hidden = values.shape
    head = {"id": name, "of": of, "tokens": tokens, "layers": layers, "hidden": hidden}
    text = json.dumps(head, separators=(",", ":")).encode()
    content = np.ascontiguousarray(values, dtype="<f4").tobytes()
    return frame(Kind.STATES, _HEAD.pack(len(text)) + text + content)


def states_fit(layers: int, hidden: int) -> bool:
    """Whether the states of a model fit into a message."""
    return 1 + _HEAD.size + MAX_HEAD + 4 * (layers + 1) * hidden <= MAX_MESSAGE


def read_length(head: bytes) -> int:
    """Length of a message, its kind included.

    Raises:
        FrameError: it is empty, or too long.
    """
    (length,) = _LENGTH.unpack(head)
    if not 1 <= length <= MAX_MESSAGE:
        raise FrameError(f"a message has {length} bytes; it may have 1 to {MAX_MESSAGE}")
    return length


def read_id(payload: bytes) -> str:
    """The id in a message of kind `ABORT` or `SYNC`.

    Raises:
        FrameError: it is none.
    """
    if not 1 <= len(payload) <= MAX_ID or not payload.isascii():
        raise FrameError(f"an id has 1 to {MAX_ID} ASCII characters")
    return payload.decode("ascii")


def read_rows(payload: bytes) -> list[Part]:
    """The payload of a message of kind `ROWS`, as the sidecar reads it."""
    number, slots, count = _ROWS.unpack_from(payload)
    at, parts = _ROWS.size, []
    for _ in range(count):
        name = payload[at + 1 : at + 1 + payload[at]].decode("ascii")
        at += 1 + len(name)
        prompt, first, rows = _PART.unpack_from(payload, at)
        at += _PART.size
        values = np.frombuffer(payload, dtype="<f4", count=rows * slots, offset=at)
        at += values.nbytes
        parts.append(Part(name, number, prompt, first, values.reshape(rows, slots)))
    return parts


def read_states(payload: bytes) -> tuple[dict[str, Any], np.ndarray]:
    """The payload of a message of kind `STATES`, as the sidecar reads it."""
    (length,) = _HEAD.unpack_from(payload)
    at = _HEAD.size + length
    head = json.loads(payload[_HEAD.size : at])
    values = np.frombuffer(payload, dtype="<f4", offset=at)
    return head, values.reshape(head["layers"], head["hidden"])
