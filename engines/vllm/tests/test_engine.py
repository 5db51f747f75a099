"""The stock engine with the plugin, against transformers and against itself."""

from collections.abc import Iterator

import asking
import numpy as np
import pytest
from asking import ask, assert_told, changing, expected, logprobs, parameters, plan, prompt
from conftest import Engine

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def vectors(engine: Engine) -> Iterator[list]:
    given = asking.vectors()
    assert engine.sidecar.set_vectors(1, given) == {"set": 1, "error": None}
    yield given


@pytest.fixture(scope="module")
def reference(engine: Engine) -> asking.Reference:
    return asking.Reference(engine.model)


def test_hello_says_what_is_served(engine: Engine) -> None:
    hello = engine.sidecar.hello
    assert (hello["protocol"], hello["runner"]) == (1, "V1")
    assert (hello["hidden"], hello["layers"], hello["slots"]) == (576, 30, 16)
    assert (hello["dtype"], hello["tensor_parallel"]) == ("float32", 1)
    assert (hello["quantization"], hello["lora"]) == (None, False)


def test_projections_are_those_of_transformers_whole_chunked_cached_and_batched(
    engine: Engine, vectors: list, reference: asking.Reference
) -> None:
    # 20 tokens are computed at once, 150 in chunks of 64; the second time from the prefix cache.
    lengths = [20, 150]
    neighbours = [(prompt(8 + number, seed=100 + number), parameters()) for number in range(16)]
    for batch in ([], [], neighbours):
        plans = [plan(1) for _ in lengths]
        requests = [
            (prompt(length, seed=length), parameters(own))
            for length, own in zip(lengths, plans, strict=True)
        ]
        answers = ask(engine, requests + batch)
        for (tokens, _), own, answer in zip(requests, plans, answers, strict=False):
            fed = tokens + list(answer.token_ids)[:-1]
            right = expected(reference.run(fed)[0], vectors)
            assert_told(engine.sidecar.told(own["id"]), right, len(tokens), len(fed))


def test_projections_after_preemption_are_told_again(
    engine: Engine, vectors: list, reference: asking.Reference
) -> None:
    plans = [plan(1) for _ in range(10)]
    requests = [
        (prompt(70, seed=200 + number), parameters(own, max_tokens=60))
        for number, own in enumerate(plans)
    ]
    before = _preemptions(engine)
    answers = ask(engine, requests)
    assert _preemptions(engine) > before, "the cache was large enough for all"
    for (tokens, _), own, answer in zip(requests, plans, answers, strict=True):
        fed = tokens + list(answer.token_ids)[:-1]
        told = engine.sidecar.told(own["id"])
        assert sorted(told) == list(range(len(tokens) - 1, len(fed)))
        right = expected(reference.run(fed)[0], vectors)
        found = np.stack([told[position] for position in sorted(told)])
        scale = np.sqrt((right**2).mean(axis=0))
        assert (np.abs(found - right[len(tokens) - 1 :]) / scale).max() < 1e-3


def test_steering_and_capping_have_the_effect_of_a_reference_forward(
    engine: Engine, vectors: list, reference: asking.Reference
) -> None:
    steer = {"slot": 4, "add": 1.5, "positions": "response"}
    low = {"slot": 5, "low": None, "high": -1.0, "positions": "response"}
    everywhere = {"slot": 1, "low": 2.0, "high": 3.0, "positions": "all"}
    gated = {
        "slot": 6,
        "add": -0.5,
        "positions": "response",
        "when": {"slot": 0, "at": "token", "above": 0.0},
    }
    cases: list[list[dict]] = [[steer], [steer, low], [everywhere], [gated]]
    plans = [plan(1, *case) for case in cases]
    # All in one batch: each row follows its own plan.
    requests = [(prompt(40, seed=7), parameters(own)) for own in plans]
    for case, own, answer in zip(cases, plans, ask(engine, requests), strict=True):
        tokens = prompt(40, seed=7)
        fed = tokens + list(answer.token_ids)[:-1]
        seen, right = reference.run(fed, changing(case, vectors, len(tokens)))
        assert_told(engine.sidecar.told(own["id"]), expected(seen, vectors), 40, len(fed))
        of_tokens = right[np.arange(39, len(fed)), list(answer.token_ids)]
        np.testing.assert_allclose(logprobs(answer), of_tokens, atol=2e-4)


def test_the_last_token_of_an_answer_is_measured_by_asking_again(
    engine: Engine, vectors: list, reference: asking.Reference
) -> None:
    change: dict = {"slot": 4, "add": 1.5, "positions": "response"}
    tokens = prompt(40, seed=61)
    [answer] = ask(engine, [(tokens, parameters(plan(1, change)))])
    fed = tokens + list(answer.token_ids)
    own = plan(1, change) | {"prompt": len(tokens)}
    ask(engine, [(fed, parameters(own, max_tokens=1))])
    seen, _ = reference.run(fed, changing([change], vectors, len(tokens)))
    right, told = expected(seen, vectors), engine.sidecar.told(own["id"])
    scale = np.sqrt((right**2).mean(axis=0))
    assert np.abs(told[len(fed) - 1] - right[-1]).max() < 1e-3 * scale.max()
    assert {part.prompt for part in engine.sidecar.parts(own["id"])} == {len(tokens)}


def test_neighbours_of_steered_requests_keep_their_bits(engine: Engine, vectors: list) -> None:
    del vectors

    def run(*changes: dict) -> list[tuple[tuple[int, ...], list[float]]]:
        engine.llm.reset_prefix_cache()
        steered = (prompt(25, seed=11), parameters(plan(1, *changes)))
        others = [(prompt(20 + number, seed=20 + number), parameters()) for number in range(7)]
        answers = ask(engine, [*others[:3], steered, *others[3:]])
        del answers[3]
        return [(tuple(answer.token_ids), logprobs(answer)) for answer in answers]

    assert run() == run({"slot": 7, "add": 2.0, "positions": "response"})


def test_cached_blocks_of_a_steered_answer_reach_no_other_plan(
    engine: Engine, vectors: list
) -> None:
    del vectors
    change = {"slot": 6, "add": 1.0, "positions": "all"}
    tokens = prompt(33, seed=31)
    engine.llm.reset_prefix_cache()
    [steered] = ask(engine, [(tokens, parameters(plan(1, change), max_tokens=40))])
    following = [*tokens, *steered.token_ids, *prompt(5, seed=32)]
    [after] = ask(engine, [(following, parameters(plan(1)))])
    [later] = ask(engine, [(following, parameters())])
    engine.llm.reset_prefix_cache()
    [fresh] = ask(engine, [(following, parameters())])
    assert logprobs(after) == logprobs(fresh), "it read keys and values made under steering"
    assert later.token_ids == fresh.token_ids
    [again] = ask(engine, [(following, parameters(plan(1, change)))])
    assert logprobs(again) != logprobs(fresh), "it read keys and values made without steering"


def test_abort_ends_the_request_with_the_next_token(engine: Engine, vectors: list) -> None:
    del vectors
    own = plan(1)
    tokens = prompt(20, seed=41)
    end = engine.llm.get_tokenizer().eos_token_id
    engine.sidecar.abort(own["id"])
    [answer] = ask(engine, [(tokens, parameters(own, max_tokens=200, ignore_eos=False))])
    assert list(answer.token_ids) == [end]
    assert answer.finish_reason == "stop"


def test_new_vectors_are_used_by_the_next_request(
    engine: Engine, vectors: list, reference: asking.Reference
) -> None:
    for number in (2, 3, 4):
        given = asking.vectors(seed=number)
        assert engine.sidecar.set_vectors(number, given)["error"] is None
        own, tokens = plan(number), prompt(20, seed=51)
        [answer] = ask(engine, [(tokens, parameters(own))])
        fed = tokens + list(answer.token_ids)[:-1]
        right = expected(reference.run(fed)[0], given)
        assert_told(engine.sidecar.told(own["id"]), right, 20, len(fed))
    with pytest.raises(Exception, match="set of vectors 1 is not loaded"):
        ask(engine, [(prompt(5), parameters(plan(1)))])
    assert engine.sidecar.set_vectors(1, vectors)["error"] is None


def test_unfit_vectors_are_refused_in_a_sentence(engine: Engine, vectors: list) -> None:
    other = asking.Vector(7, vectors[0].content)
    answer = engine.sidecar.set_vectors(9, [other])
    assert answer["set"] == 9
    assert "the layers that are tapped are 15, 21" in answer["error"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"id": "x", "set": "77", "changes": []}, "the set of vectors 77 is not loaded"),
        ({"id": "", "set": "1", "changes": []}, "`id` is not"),
        ({"id": "x", "set": "1", "changes": [{"slot": 0}]}, "`positions` is not"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused_to_the_client(
    engine: Engine, vectors: list, given: dict, why: str
) -> None:
    del vectors
    with pytest.raises(Exception, match=why):
        ask(engine, [(prompt(5), parameters(given))])


def test_several_choices_under_one_plan_are_refused(engine: Engine, vectors: list) -> None:
    del vectors
    with pytest.raises(Exception, match="one choice"):
        ask(engine, [(prompt(5), parameters(plan(1), n=2, temperature=1.0))])


def test_requests_without_a_plan_are_counted(engine: Engine, vectors: list) -> None:
    del vectors
    sidecar = engine.sidecar
    ask(engine, [(prompt(5), parameters(plan(1)))])
    sidecar.wait(lambda: bool(sidecar.counts))
    before = sidecar.counts["foreign"]
    ask(engine, [(prompt(5), parameters()), (prompt(6), parameters(n=2, temperature=1.0))])
    sidecar.wait(lambda: sidecar.counts["foreign"] == before + 3)
    assert sidecar.counts["dropped"] == 0


def test_the_plugin_connects_again(engine: Engine, vectors: list) -> None:
    engine.sidecar.hang_up()
    assert engine.sidecar.set_vectors(1, vectors)["error"] is None
    own = plan(1)
    ask(engine, [(prompt(10), parameters(own))])
    assert len(engine.sidecar.told(own["id"])) == 12


def _preemptions(engine: Engine) -> int:
    found = [
        metric.value for metric in engine.llm.get_metrics() if metric.name == "vllm:num_preemptions"
    ]
    return int(sum(found))
