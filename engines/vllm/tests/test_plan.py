"""Plans come from whoever reaches the server: each fault is refused by its name."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personaguard_vllm.plan import Change, Gate, Plan, PlanError, Positions, parse
from personaguard_vllm.requests import check
from personaguard_vllm.vectors import Vector, VectorSet

_STEER = {"slot": 0, "add": -1.5, "positions": "response"}


def _text(**fields: Any) -> str:
    return json.dumps({"id": "r1", "set": "7", "changes": []} | fields)


def _with(change: Any) -> str:
    return _text(changes=[change])


def test_a_plan_is_read_in_its_order() -> None:
    when = {"slot": 1, "at": "token", "above": 3}
    cap = {"slot": 2, "low": None, "high": 4.25, "positions": "all"}
    assert parse(_text(changes=[_STEER | {"when": when}, cap])) == Plan(
        "r1",
        7,
        (
            Change(0, Positions.RESPONSE, -1.5, gate=Gate(1, False, 3.0, 3.0)),
            Change(2, Positions.ALL, None, -math.inf, 4.25),
        ),
    )


def test_a_condition_may_say_until_what_is_above() -> None:
    def gate(at: str, until: float) -> Plan:
        return parse(_with(_STEER | {"when": {"slot": 1, "at": at, "above": 3, "until": until}}))

    assert gate("prompt_last", 3).changes[0].gate == Gate(1, True, 3.0, 3.0)
    assert gate("token", 1.5).changes[0].gate == Gate(1, False, 3.0, 1.5)
    # What is read once does not depend on tokens before.
    assert [gate("token", 1).remembers, gate("token", 3).remembers] == [True, False]
    assert not gate("prompt_last", 1).remembers


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "not a text"),
        ("x" * 20000, "not a text of at most"),
        ("{", "not JSON"),
        ("[" * 10000, "not JSON"),
        ("[]", "the plan is not an object"),
        (_text(other=1), "unknown field 'other'"),
        (_text(id="a b"), "`id` is not"),
        (_text(id="x" * 65), "`id` is not"),
        (_text(set=7), "`set` is not"),
        (_text(set="18446744073709551616"), "`set` is not"),
        (_text(set="\u0667"), "`set` is not"),
        (_text(changes=[_STEER] * 17), "`changes` is not a list of at most 16"),
        (_text(prompt=0), "`prompt` is not"),
        (_text(prompt="3"), "`prompt` is not"),
        (_text(changes=None), "`changes` is not a list"),
        (_with(3), "a change is not an object"),
        (_with(_STEER | {"slot": 16}), "`slot` is not"),
        (_with(_STEER | {"slot": True}), "`slot` is not"),
        (_with(_STEER | {"positions": "here"}), "`positions` is not"),
        (_with(_STEER | {"positions": ["all"]}), "`positions` is not"),
        (_with(_STEER | {"add": "1"}), "`add` is not a number"),
        (_with(_STEER | {"add": 1e9}), "`add` is not a number between"),
        ('{"id":"r","set":"1","changes":[{"slot":0,"add":NaN,"positions":"all"}]}', "`add` is"),
        (_with(_STEER | {"high": 1}), "unknown field 'high'"),
        (_with({"slot": 0, "positions": "all"}), "neither `add` nor `low`"),
        (_with({"slot": 0, "positions": "all", "low": 2, "high": 1}), "`low` is above"),
        (_with(_STEER | {"when": {"slot": 0, "at": "now", "above": 0}}), "`when.at` is not"),
        (_with(_STEER | {"when": 1}), "`when` is not an object"),
        (
            _with(_STEER | {"positions": "all", "when": {"slot": 0, "at": "token", "above": 0}}),
            "acts on the response only",
        ),
        (
            _with(_STEER | {"when": {"slot": 0, "at": "token", "above": 2, "until": 3}}),
            "`when.until` is above",
        ),
    ],
)
def test_a_bad_plan_is_refused_in_a_sentence(text: Any, why: str) -> None:
    with pytest.raises(PlanError, match=why):
        parse(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "set", "slot", "add", "when", "low"]), inner)
    ),
    max_leaves=12,
)


@given(_JSON, _JSON)
def test_no_text_does_more_than_be_refused(changes: Any, whole: Any) -> None:
    for text in (_text(changes=changes), _text(changes=[changes]), json.dumps(whole)):
        with contextlib.suppress(PlanError):
            parse(text)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (Change(2, Positions.ALL, 1.0), "not in the set, which has 2"),
        (Change(0, Positions.RESPONSE, 1.0, gate=Gate(1, True, 0.0, 0.0)), "above the one"),
    ],
)
def test_a_plan_must_fit_its_set(change: Change, why: str) -> None:
    used = VectorSet(1, (Vector(3, b""), Vector(5, b"")))
    with pytest.raises(PlanError, match=why):
        check(Plan("r", 1, (change,)), used)
