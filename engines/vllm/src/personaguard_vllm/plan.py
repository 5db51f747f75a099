"""What the sidecar asks for one request: which set of vectors is read, and what is changed.

It travels in the request's own `vllm_xargs`, as a text, so that it reaches every process of the
engine in the same step as the request.
"""

import json
import math
import re
from dataclasses import dataclass
from enum import IntFlag
from typing import Any

# Its name in `vllm_xargs`.
PLAN = "personaguard"
MAX_TEXT = 16 * 1024
MAX_CHANGES = 16
MAX_SLOTS = 16
# Larger coefficients and bounds are mistakes: activations of large models have norms of thousands.
MAX_NUMBER = 1e6
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_SET = re.compile(r"[0-9]{1,20}", re.ASCII)
_FIELDS = {
    "add": {"slot", "positions", "add", "when"},
    "cap": {"slot", "positions", "low", "high"},
}


class PlanError(Exception):
    """A plan that cannot be followed. The text says why."""


class Positions(IntFlag):
    """Where a change acts. The response begins after the prompt's last token."""

    PROMPT = 1
    RESPONSE = 2
    ALL = 3


@dataclass(frozen=True)
class Gate:
    """A change acts only where the projection on `slot` is above a bound."""

    slot: int
    at_prompt_last: bool
    """Read at the prompt's last token, for the whole response; else at each response token."""
    above: float
    until: float
    """Read at each token, it acts on from there until the projection is no longer above this,
    which is at most `above`."""

    @property
    def remembers(self) -> bool:
        """Whether a token's own projection does not tell if it acts there."""
        return not self.at_prompt_last and self.until < self.above


@dataclass(frozen=True)
class Change:
    """One change of the residual stream along the vector in a slot."""

    slot: int
    positions: Positions
    add: float | None
    """Steering: h += add * v, with the vector as it is, not normalised. `None` for a cap."""
    low: float = -math.inf
    high: float = math.inf
    """Capping: the projection is kept between these."""
    gate: Gate | None = None


@dataclass(frozen=True)
class Plan:
    """One request's plan."""

    id: str
    set_number: int | None
    """`None` where states are all that is wanted."""
    changes: tuple[Change, ...]
    prompt: int | None = None
    """Where the response begins, if before the end of what the engine takes for the prompt."""
    states: bool = False
    """Whether the mean states of what the engine takes for the prompt are wanted."""

    @property
    def changes_prompt(self) -> bool:
        return any(change.positions & Positions.PROMPT for change in self.changes)

    @property
    def remembers(self) -> bool:
        """Whether what is changed at a token depends on tokens of the response before it, too."""
        return any(change.gate is not None and change.gate.remembers for change in self.changes)

    def slots(self) -> set[int]:
        """The slots that are named."""
        gates = {change.gate.slot for change in self.changes if change.gate is not None}
        return gates | {change.slot for change in self.changes}


def parse(text: Any) -> Plan:
    """Reads a plan from hostile text.

    Raises:
        PlanError: it is not one.
    """
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise PlanError(f"the plan is not a text of at most {MAX_TEXT} characters")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanError("the plan is not JSON") from error
    fields = _object(value, {"id", "set", "changes", "prompt", "states"}, "the plan")
    name, number = fields.get("id"), fields.get("set")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise PlanError("`id` is not 1 to 64 letters, digits, hyphens and underscores")
    changes = fields.get("changes")
    if not isinstance(changes, list) or len(changes) > MAX_CHANGES:
        raise PlanError(f"`changes` is not a list of at most {MAX_CHANGES}")
    states = fields.get("states", False)
    if not isinstance(states, bool):
        raise PlanError("`states` is not true or false")
    if number is None and states and not changes:
        pass
    elif not isinstance(number, str) or not _SET.fullmatch(number) or int(number) >= 2**64:
        raise PlanError("`set` is not a number below 2^64, as a text")
    prompt = fields.get("prompt")
    if prompt is not None and not (type(prompt) is int and 1 <= prompt < 2**31):
        raise PlanError("`prompt` is not a whole number from 1 on")
    set_number = None if number is None else int(number)
    return Plan(name, set_number, tuple(map(_change, changes)), prompt, states)


def _change(value: Any) -> Change:
    kind = "add" if isinstance(value, dict) and "add" in value else "cap"
    fields = _object(value, _FIELDS[kind], "a change")
    positions = _positions(fields.get("positions"))
    slot = _slot(fields.get("slot"))
    if kind == "cap":
        low = _bound(fields.get("low"), "low", -math.inf)
        high = _bound(fields.get("high"), "high", math.inf)
        if math.isinf(low) and math.isinf(high):
            raise PlanError("a change has neither `add` nor `low` nor `high`")
        if low > high:
            raise PlanError("`low` is above `high`")
        return Change(slot, positions, None, low, high)
    gate = None if fields.get("when") is None else _gate(fields["when"])
    if gate is not None and positions != Positions.RESPONSE:
        raise PlanError("a change with `when` acts on the response only")
    return Change(slot, positions, _number(fields["add"], "add"), gate=gate)


def _gate(value: Any) -> Gate:
    fields = _object(value, {"slot", "at", "above", "until"}, "`when`")
    at = fields.get("at")
    if at not in ("token", "prompt_last"):
        raise PlanError("`when.at` is not token or prompt_last")
    above = _number(fields.get("above"), "when.above")
    until = _number(fields.get("until", above), "when.until")
    if until > above:
        raise PlanError("`when.until` is above `when.above`")
    return Gate(_slot(fields.get("slot")), at == "prompt_last", above, until)


def _object(value: Any, known: set[str], what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PlanError(f"{what} is not an object")
    if unknown := sorted(set(value) - known):
        raise PlanError(f"{what} has an unknown field {unknown[0][:40]!r}")
    return value


def _positions(value: Any) -> Positions:
    if value not in ("prompt", "response", "all"):
        raise PlanError("`positions` is not prompt, response or all")
    return Positions[value.upper()]


def _slot(value: Any) -> int:
    if type(value) is not int or not 0 <= value < MAX_SLOTS:
        raise PlanError(f"`slot` is not a whole number from 0 to {MAX_SLOTS - 1}")
    return value


def _bound(value: Any, name: str, none: float) -> float:
    return none if value is None else _number(value, name)


def _number(value: Any, name: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not abs(value) <= MAX_NUMBER:
        raise PlanError(f"`{name}` is not a number between -{MAX_NUMBER:g} and {MAX_NUMBER:g}")
    return float(value)
