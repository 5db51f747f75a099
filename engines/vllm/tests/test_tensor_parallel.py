"""Three processes that share the model's heads: each computes the whole residual stream, and the
first one tells. Not two: SmolLM2 has nine heads, and three of keys and values."""

from collections.abc import Iterator
from pathlib import Path

import asking
import mean_states
import numpy as np
import pytest
from asking import ask, assert_told, changing, expected, logprobs, parameters, plan, prompt
from conftest import Engine, start

pytestmark = pytest.mark.engine
PROCESSES = 3


@pytest.fixture(scope="module")
def engine(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    from vllm import envs

    # What they were is kept by an engine that was started before, in this process.
    envs.disable_envs_cache()
    with pytest.MonkeyPatch.context() as patch:
        # Forked, a worker would have this process's locks without the threads that hold them.
        patch.setenv("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
        # Left to itself, each wants a node of memory of its own.
        patch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PERSONAGUARD_STATES", "1")
        yield start(
            model_folder,
            tmp_path_factory.mktemp("socket") / "engine.sock",
            dtype="float32",
            enforce_eager=True,
            tensor_parallel_size=PROCESSES,
            num_gpu_blocks_override=64,
        )


@pytest.fixture(scope="module")
def reference(engine: Engine) -> asking.Reference:
    return asking.Reference(engine.model)


def test_one_of_the_processes_tells_what_all_of_them_compute(
    engine: Engine, reference: asking.Reference
) -> None:
    vectors = asking.vectors(seed=11)
    assert engine.sidecar.hello["tensor_parallel"] == PROCESSES
    assert engine.sidecar.set_vectors(11, vectors)["error"] is None
    # The longer one is computed in chunks of 64.
    plans = [plan(11), plan(11)]
    requests = [
        (prompt(length, seed=length), parameters(own))
        for length, own in zip((20, 150), plans, strict=True)
    ]
    for (tokens, _), own, answer in zip(requests, plans, ask(engine, requests), strict=True):
        fed = tokens + list(answer.token_ids)[:-1]
        right = expected(reference.run(fed)[0], vectors)
        assert_told(engine.sidecar.told(own["id"]), right, len(tokens), len(fed))
    assert engine.sidecar.connections == 1


def test_all_of_the_processes_steer_with_vectors_that_came_while_they_ran(
    engine: Engine, reference: asking.Reference
) -> None:
    """One that did not would add its share of the next layers' sums for another stream."""
    steer = {"slot": 4, "add": 1.5, "positions": "response"}
    cap = {"slot": 5, "low": 2.0, "high": 3.0, "positions": "all"}
    gate = {"slot": 0, "at": "token", "above": 0.0}
    gated = {"slot": 6, "add": -0.5, "positions": "response", "when": gate}
    for number in (12, 13):
        vectors = asking.vectors(seed=number)
        assert engine.sidecar.set_vectors(number, vectors)["error"] is None
        cases = [[steer], [steer, cap], [gated], []]
        plans = [plan(number, *case) for case in cases]
        tokens = prompt(40, seed=number)
        answers = ask(engine, [(tokens, parameters(own)) for own in plans])
        for case, own, answer in zip(cases, plans, answers, strict=True):
            fed = tokens + list(answer.token_ids)[:-1]
            seen, right = reference.run(fed, changing(case, vectors, len(tokens)))
            assert_told(engine.sidecar.told(own["id"]), expected(seen, vectors), 40, len(fed))
            of_tokens = right[np.arange(39, len(fed)), list(answer.token_ids)]
            np.testing.assert_allclose(logprobs(answer), of_tokens, atol=2e-4)


def test_sums_of_states_are_those_of_the_whole_model(engine: Engine) -> None:
    tokens, own = prompt(150, seed=15), mean_states.plan(90)
    ask(engine, [mean_states.request(tokens, own)])
    right = mean_states.Reference(engine.model).run(tokens)
    mean_states.assert_told(engine, own, right, 90)


def test_abort_reaches_the_sampler_whose_tokens_count(engine: Engine) -> None:
    own = plan(13)
    engine.sidecar.abort(own["id"])
    # The other one goes on, in step with all processes.
    requests = [
        (prompt(20, seed=41), parameters(own, max_tokens=200, ignore_eos=False)),
        (prompt(20, seed=42), parameters(plan(13))),
    ]
    ended, other = ask(engine, requests)
    assert list(ended.token_ids) == [engine.llm.get_tokenizer().eos_token_id]
    assert len(other.token_ids) == 12
