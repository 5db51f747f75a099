"""What the plugin is told at start, by whoever starts the server."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personaguard_vllm.refusal import UnsupportedError

SOCKET = "PERSONAGUARD_SOCKET"
LAYERS = "PERSONAGUARD_LAYERS"
# In the environment alone, which each process of the engine has.
STATES = "PERSONAGUARD_STATES"
DEFAULT_SOCKET = "/run/personaguard/engine.sock"
# In `--additional-config`, whose values reach every process.
KEY = "personaguard"
_FIELDS = {"socket", "layers", "expected", "tolerance"}


@dataclass(frozen=True)
class Settings:
    """Where the sidecar listens, and at which layers the plugin can measure and change."""

    socket: Path
    layers: tuple[int, ...] | None
    """The layers that are tapped, 1-based, in rising order; `None` for all of them."""
    expected: dict[int, float]
    """What the known prompt must measure at start, by layer; empty where nobody says."""
    tolerance: float
    """By how much it may differ, as a share of the expected value."""
    states: bool
    """Whether requests may ask for their mean states."""


def states_allowed() -> bool:
    """Whether requests may ask for their mean states: that costs memory, and is for making vectors.

    Raises:
        UnsupportedError: the variable says neither yes nor no.
    """
    value = os.environ.get(STATES, "")
    if value not in ("", "0", "1"):
        raise UnsupportedError(f"{STATES} is {value[:40]!r}, not 1 or 0")
    return value == "1"


def find(additional_config: Any) -> Settings:
    """The settings of this process: `--additional-config`, and the environment for the rest.

    Raises:
        UnsupportedError: a field is unknown or out of range.
    """
    value = additional_config.get(KEY, {}) if isinstance(additional_config, dict) else {}
    if not isinstance(value, dict):
        raise UnsupportedError(f"`{KEY}` in --additional-config is not an object")
    if unknown := sorted(set(value) - _FIELDS):
        known = ", ".join(sorted(_FIELDS))
        raise UnsupportedError(
            f"`{KEY}` in --additional-config has an unknown field {unknown[0]!r}; known are {known}"
        )
    socket = value.get("socket", os.environ.get(SOCKET) or DEFAULT_SOCKET)
    if not isinstance(socket, str) or not socket.startswith("/"):
        raise UnsupportedError(f"the socket is not given as an absolute path; set {SOCKET}")
    layers = _layers(value.get("layers", _split(os.environ.get(LAYERS, ""))))
    return Settings(
        socket=Path(socket),
        layers=layers,
        expected=_expected(value.get("expected", {})),
        tolerance=_tolerance(value.get("tolerance", 0.05)),
        states=states_allowed(),
    )


def _split(text: str) -> list[Any] | None:
    if not text.strip():
        return None
    parts = [part.strip() for part in text.split(",")]
    return [int(part) if part.isdecimal() else part for part in parts]


def _layers(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    numbers = isinstance(value, list) and all(type(layer) is int for layer in value)
    if not numbers or not value or min(value) < 1:
        raise UnsupportedError(
            f"{LAYERS} is not a list of whole numbers from 1 on, such as 18,21 (layer 0 is the "
            "embedding's output, which is not tapped)"
        )
    return tuple(sorted(set(value)))


def _expected(value: Any) -> dict[int, float]:
    if not isinstance(value, dict):
        raise UnsupportedError("`expected` is not an object of numbers by layer")
    for name, number in value.items():
        if not str(name).isdecimal() or not _is_number(number):
            raise UnsupportedError(f"`expected` has {name!r}, which is not a number for a layer")
    return {int(name): float(number) for name, number in value.items()}


def _tolerance(value: Any) -> float:
    if not _is_number(value) or not 0 < value < 1:
        raise UnsupportedError("`tolerance` is not a number between 0 and 1")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
