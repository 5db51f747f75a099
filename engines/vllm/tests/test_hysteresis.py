"""Conditions that go on below where they began: what a token gets depends on those before it."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from personaguard_vllm import buffers, op, salt
from personaguard_vllm.plan import Change, Gate, Plan, Positions
from personaguard_vllm.rows import Span, plan_step
from personaguard_vllm.table import Table
from personaguard_vllm.tap import Tap
from personaguard_vllm.vectors import Vector

HIDDEN, TOKENS, PROMPT = 8, 64, 3
# The first is read at layer 1; along the second, at layer 2, the stream is changed.
VECTORS = tuple(
    Vector(layer, np.eye(HIDDEN, dtype=np.float32)[layer - 1].tobytes()) for layer in (1, 2)
)
# Far from any bound.
_LEVELS = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, float("nan")]


@dataclass
class _Request:
    """A request whose tokens are known from the beginning."""

    levels: list[float]
    """What each token of the response projects to, at layer 1."""
    above: float
    until: float
    line: int = -1
    done: int = 0
    """Tokens that were computed."""

    def open_at(self) -> list[bool]:
        """Whether the condition holds, at each token of the response."""
        is_open, found = False, []
        for level in self.levels:
            is_open = level > (self.until if is_open else self.above)
            found.append(is_open)
        return found


def _requests(random: np.random.Generator) -> list[_Request]:
    return [
        _Request(
            random.choice(_LEVELS, random.integers(1, 10)).tolist(),
            float(random.choice([0.0, 1.0, 2.0])),
            float(random.choice([-2.0, -1.0, 0.0])),
        )
        for _ in range(random.integers(1, 4))
    ]


def _begin(table: Table, request: _Request, number: int) -> None:
    gate = Gate(0, False, request.above, request.until)
    change = Change(1, Positions.RESPONSE, 5.0, gate=gate)
    columns = table.hold(VECTORS)
    request.line = table.add(Plan(str(number), 1, (change,)), VECTORS, columns)


def _pass(
    taps: list[Tap], table: Table, requests: list[_Request], counts: list[int]
) -> list[np.ndarray]:
    """Computes the next tokens of each request; gives what was added to them at layer 2."""
    spans, rows, start = [], [], 1
    for request, count in zip(requests, counts, strict=True):
        spans.append(Span(request.line, start, count, request.done, PROMPT, False, True))
        levels = [9.0] * PROMPT + request.levels
        rows += levels[request.done : request.done + count]
        request.done += count
        start += count
    table.write(plan_step(spans, start, table.buffers.nobody))
    hidden = torch.zeros(start, HIDDEN)
    hidden[1:, 0] = torch.tensor(rows)
    for tap in taps:
        tap(hidden, None)
    assert not hidden[0].any(), "a row of nobody was changed"
    return [hidden[span.start : span.start + span.count, 1].numpy() for span in spans]


@pytest.mark.parametrize("is_on_gpu", [False, True])
def test_each_token_gets_what_the_tokens_before_it_say(
    is_on_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(op, "is_on_gpu", lambda _tensor: is_on_gpu)
    # Triton's interpreter takes a second for each.
    for seed in range(6 if is_on_gpu else 200):
        random = np.random.default_rng(seed)
        requests = _requests(random)
        table = Table(buffers.make(2, HIDDEN, 4, TOKENS, torch.device("cpu")))
        taps = [Tap(table.buffers, layer) for layer in (1, 2)]
        for number, request in enumerate(requests):
            _begin(table, request, number)
        may_restart = True
        while any(request.done < PROMPT + len(request.levels) for request in requests):
            counts = []
            for request in requests:
                left = PROMPT + len(request.levels) - request.done
                counts.append(int(random.integers(0, min(left, 5) + 1)))
            before = [request.done for request in requests]
            added = _pass(taps, table, requests, counts)
            for request, first, found in zip(requests, before, added, strict=True):
                wanted = [False] * PROMPT + request.open_at()
                assert found.tolist() == [
                    5.0 if is_open else 0.0 for is_open in wanted[first : first + len(found)]
                ]
            if may_restart and random.random() < 0.5:
                # Preempted: it is computed anew from its first token on.
                requests[0].done, may_restart = 0, False


def test_a_line_that_another_request_had_remembers_nothing() -> None:
    table = Table(buffers.make(2, HIDDEN, 1, TOKENS, torch.device("cpu")))
    taps = [Tap(table.buffers, layer) for layer in (1, 2)]
    for levels, wanted in (([2.5], [5.0]), ([0.5], [0.0])):
        request = _Request(levels, 1.0, 0.0)
        _begin(table, request, 0)
        (added,) = _pass(taps, table, [request], [PROMPT + 1])
        assert added[PROMPT:].tolist() == wanted
        table.remove(request.line)


def test_its_tokens_are_all_computed() -> None:
    when = '{"slot": 0, "at": "token", "above": 1, "until": %d}'
    plan = '{"id": "a", "set": "1", "changes": [{"slot": 1, "add": 1, "positions": "response", '
    plan += f'"when": {when}}}]}}'
    assert salt.wants_all({"personaguard": plan % 0})
    assert not salt.wants_all({"personaguard": plan % 1})
