"""Mean states of requests: the sums alone, and in the stock engine against transformers."""

import json
from collections.abc import Iterator

import asking
import mean_states
import numpy as np
import pytest
import torch
from asking import ask, parameters, prompt
from conftest import Engine
from personaguard_vllm import admission, states, states_op
from personaguard_vllm.columns import NoRoomError
from personaguard_vllm.plan import PLAN, PlanError, parse
from personaguard_vllm.states import PLACES, StateBuffers, States
from personaguard_vllm.steps import Scheduled

HIDDEN = 3


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests come in through this process, in which other tests' engines sum no states."""
    monkeypatch.setenv("PERSONAGUARD_STATES", "1")


@pytest.fixture
def buffers() -> StateBuffers:
    return states.make(2, HIDDEN, 16, torch.device("cpu"))


def _pass(buffers: StateBuffers, stream: torch.Tensor, residual: torch.Tensor | None) -> None:
    for layer in range(3):
        torch.ops.personaguard.states(
            stream + layer,
            residual,
            buffers.sums,
            buffers.rows,
            buffers.targets,
            buffers.count,
            layer,
        )


def test_sums_are_over_prompt_and_response_apart(buffers: StateBuffers) -> None:
    assert states_op.states is not None
    told = States(buffers)
    first, second = told.hold("a", 2, 3), told.hold("b", 1, 4)
    stream = torch.arange(8.0 * HIDDEN).reshape(8, HIDDEN)
    residual = torch.ones(8, HIDDEN)
    # Rows 0 and 1 are another request's. Of the second, the last token is not sent yet.
    told.add(first, Scheduled("a", 2, 3, 0))
    told.add(second, Scheduled("b", 5, 3, 0))
    told.write()
    _pass(buffers, stream, residual)
    ((sending, sums),) = told.take()
    assert sending is first
    at = stream + 1
    for layer in range(3):
        assert torch.equal(sums[0, layer], at[2] + at[3] + 2 * layer)
        assert torch.equal(sums[1, layer], at[3] + layer)
        assert torch.equal(sums[2, layer], at[4] + layer)
    told.add(second, Scheduled("b", 0, 1, 3))
    told.write()
    _pass(buffers, stream, None)
    ((sending, sums),) = told.take()
    assert sending is second
    assert torch.equal(sums[2, 0], at[6] + at[7] + stream[0])


def test_a_request_that_begins_again_is_summed_again(buffers: StateBuffers) -> None:
    told = States(buffers)
    sending = told.hold("a", 2, 4)
    stream = torch.arange(4.0 * HIDDEN).reshape(4, HIDDEN)
    for first, count in [(0, 3), (0, 2), (2, 2)]:
        told.add(sending, Scheduled("a", 0, count, first))
        told.write()
        _pass(buffers, stream[:count], None)
    ((_, sums),) = told.take()
    assert torch.equal(sums[0, 0], stream[0] + stream[1])
    assert torch.equal(sums[2, 0], stream[0] + stream[1])
    # What follows, or is computed once more, is no part of it.
    for first in (4, 0):
        told.add(sending, Scheduled("a", 0, 1, first))
        told.write()
        assert int(buffers.count[0]) == 0
    assert told.take() == []


def test_where_tokens_are_missing_nothing_is_told(buffers: StateBuffers) -> None:
    told = States(buffers)
    sending = told.hold("a", 2, 4)
    told.add(sending, Scheduled("a", 0, 2, 2))
    told.write()
    assert told.take() == [] and int(buffers.count[0]) == 0


def test_places_are_limited_and_come_back(buffers: StateBuffers) -> None:
    told = States(buffers)
    held = [told.hold(str(number), 1, 1) for number in range(PLACES)]
    with pytest.raises(NoRoomError):
        told.hold("one more", 1, 1)
    told.release(held[3])
    assert told.hold("one more", 1, 1).place == held[3].place


def test_only_states_can_be_asked_for_without_a_set() -> None:
    plan = parse(json.dumps({"id": "a", "changes": [], "states": True}))
    assert plan.states and plan.set_number is None
    change = {"slot": 0, "add": 1, "positions": "all"}
    for wrong in (
        {"id": "a", "changes": []},
        {"id": "a", "changes": [], "states": False},
        {"id": "a", "changes": [change], "states": True},
        {"id": "a", "set": "1", "changes": [], "states": 1},
    ):
        with pytest.raises(PlanError):
            parse(json.dumps(wrong))


@pytest.mark.engine
def test_an_engine_that_sums_none_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONAGUARD_STATES", "0")
    given = json.dumps({"id": "a", "changes": [], "states": True})
    with pytest.raises(Exception, match="PERSONAGUARD_STATES=1"):
        admission.check(parameters(extra_args={PLAN: given}))


@pytest.fixture(scope="module")
def reference(engine: Engine) -> Iterator[mean_states.Reference]:
    yield mean_states.Reference(engine.model)


@pytest.mark.engine
def test_states_are_those_of_transformers(engine: Engine, reference: mean_states.Reference) -> None:
    # In chunks of 64, among others; one without a response.
    given = [(prompt(150 + 9 * seed, seed), 40 + 30 * seed) for seed in range(4)]
    plans = [mean_states.plan(length) for _, length in given]
    alone, plan = prompt(70, 9), mean_states.plan()
    others = [(prompt(30, 50 + seed), parameters()) for seed in range(12)]
    asked = [
        mean_states.request(tokens, plan) for (tokens, _), plan in zip(given, plans, strict=True)
    ]
    ask(engine, [*others, *asked, mean_states.request(alone, plan)])
    for (tokens, length), own in zip(given, plans, strict=True):
        mean_states.assert_told(engine, own, reference.run(tokens), length)
    mean_states.assert_told(engine, plan, reference.run(alone), len(alone))
    assert engine.sidecar.parts(plan["id"]) == [], "projections on no vector are told"


@pytest.mark.engine
def test_cached_tokens_are_computed_for_states(
    engine: Engine, reference: mean_states.Reference
) -> None:
    tokens = prompt(160, 77)
    right = reference.run(tokens)
    ask(engine, [(tokens, parameters())])
    for _ in range(2):
        plan = mean_states.plan(96)
        ask(engine, [mean_states.request(tokens, plan)])
        mean_states.assert_told(engine, plan, right, 96)


@pytest.mark.engine
def test_states_are_of_the_stream_before_it_is_changed(
    engine: Engine, reference: mean_states.Reference
) -> None:
    vectors = asking.vectors(3)
    assert engine.sidecar.set_vectors(9, vectors)["error"] is None
    tokens = prompt(40, 5)
    change = {"slot": 6, "add": 2.0, "positions": "all"}
    plan = asking.plan(9, change) | {"states": True, "prompt": 20}
    ask(engine, [mean_states.request(tokens, plan)])
    layer, right = vectors[6].layer, reference.run(tokens)
    _, values = engine.sidecar.states(plan["id"], "response_mean")
    mean = right[:, 20:].mean(axis=1)
    for number in (0, 1, layer):
        np.testing.assert_allclose(values[number], mean[number], rtol=1e-3, atol=1e-2)
    assert np.abs(values[layer + 1] - mean[layer + 1]).max() > 1
    # The others are told as ever.
    assert sorted(engine.sidecar.told(plan["id"])) == list(range(19, 40))
