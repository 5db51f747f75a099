"""An engine in BF16 that serves the model and an adapter of it, in one batch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adapter
import asking
import mean_states
import numpy as np
import pytest
from asking import ask, changing, expected, logprobs, parameters, plan, prompt
from conftest import Engine, start

pytestmark = pytest.mark.engine
SET = 21
TEXT = (
    "A lighthouse keeper writes down the weather every evening. On Monday the wind came from the "
    "west, and the sea was calm. On Tuesday it turned to the north, and two fishing boats stayed "
    "in the harbour. On Wednesday there was fog, so thick that the lamp could not be seen from the "
    "pier, and the keeper sounded the horn once every minute until the morning. He has kept this "
    "book for thirty years, and his father kept it before him. The pages smell of salt and oil. "
    "When visitors come in summer, they ask him whether he is ever lonely, and he shows them the "
    "book: every ship that passed has a line in it, with its name and the hour. "
)
# What transformers computes in BF16 differs from F32 by 0.009 to 0.017, for random tokens.
WITHIN = 0.03
STEER = {"slot": 4, "add": 1.5, "positions": "response"}


@pytest.fixture(scope="module")
def folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("adapter") / "lora"
    adapter.write(target, model_folder)
    return target


@pytest.fixture(scope="module")
def engine(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSONAGUARD_STATES", "1")
        started = _started(model_folder, tmp_path_factory)
        yield started


def _started(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    started = start(
        model_folder,
        tmp_path_factory.mktemp("socket") / "engine.sock",
        dtype="bfloat16",
        enforce_eager=True,
        num_gpu_blocks_override=64,
        enable_lora=True,
        max_lora_rank=adapter.RANK,
        # vLLM's operators for processors give rows without an adapter that in the last place: one
        # place stays empty.
        max_loras=2,
    )
    assert started.sidecar.set_vectors(SET, asking.vectors(seed=SET))["error"] is None
    return started


@pytest.fixture(scope="module")
def lora(folder: Path) -> Any:
    from vllm.lora.request import LoRARequest

    return LoRARequest("odd", 1, str(folder))


@pytest.fixture(scope="module")
def plain(engine: Engine) -> asking.Reference:
    return asking.Reference(engine.model)


@pytest.fixture(scope="module")
def adapted(engine: Engine, folder: Path) -> asking.Reference:
    return asking.Reference(engine.model, folder)


def test_hello_says_that_requests_can_name_adapters(engine: Engine) -> None:
    assert (engine.sidecar.hello["dtype"], engine.sidecar.hello["lora"]) == ("bfloat16", True)


def _error(told: dict[int, np.ndarray], right: np.ndarray) -> float:
    """By how much projections differ, relative to their size."""
    found = np.stack([told[position] for position in sorted(told)])
    right = right[len(right) - len(found) :]
    return float(np.sqrt(((found - right) ** 2).sum() / (right**2).sum()))


def test_projections_in_bf16_are_those_of_the_model_and_of_the_adapted_one(
    engine: Engine, lora: Any, plain: asking.Reference, adapted: asking.Reference
) -> None:
    vectors = asking.vectors(seed=SET)
    # Whole, and in chunks of 64; with and without the adapter, in one batch.
    text = engine.llm.get_tokenizer().encode(TEXT)
    cases = [(text[:20], None), (text[:150], None), (text[:20], lora), (text[:150], lora)]
    plans = [plan(SET) for _ in cases]
    requests = [(tokens, parameters(own)) for (tokens, _), own in zip(cases, plans, strict=True)]
    answers = ask(engine, requests, [given for _, given in cases])
    for (tokens, given), own, answer in zip(cases, plans, answers, strict=True):
        fed = tokens + list(answer.token_ids)[:-1]
        told = engine.sidecar.told(own["id"])
        assert sorted(told) == list(range(len(tokens) - 1, len(fed)))
        right, other = (adapted, plain) if given else (plain, adapted)
        error = _error(told, expected(right.run(fed)[0], vectors))
        assert error < WITHIN
        assert error < _error(told, expected(other.run(fed)[0], vectors)) / 2


def test_mean_states_are_those_of_the_adapted_model(
    engine: Engine, lora: Any, folder: Path
) -> None:
    tokens = engine.llm.get_tokenizer().encode(TEXT)[:150]
    plans = [mean_states.plan(60), mean_states.plan(60)]
    requests = [mean_states.request(tokens, own) for own in plans]
    ask(engine, requests, [None, lora])
    references = [mean_states.Reference(engine.model, given) for given in (None, folder)]
    plain, adapted = (reference.run(tokens) for reference in references)
    mean_states.assert_told(engine, plans[0], plain, 60, WITHIN)
    mean_states.assert_told(engine, plans[1], adapted, 60, WITHIN)
    with pytest.raises(AssertionError):
        mean_states.assert_told(engine, plans[1], plain, 60, WITHIN)


def test_an_adapted_request_is_steered_and_its_neighbours_keep_their_bits(
    engine: Engine, lora: Any, adapted: asking.Reference
) -> None:
    vectors = asking.vectors(seed=SET)
    tokens = engine.llm.get_tokenizer().encode(TEXT)[:40]

    def run(*changes: dict) -> list[Any]:
        engine.llm.reset_prefix_cache()
        requests = [(tokens, parameters(plan(SET, *changes)))]
        requests += [(prompt(20 + number, seed=72 + number), parameters()) for number in range(3)]
        return [requests[0][1], *ask(engine, requests, [lora, None, None, None])]

    own, steered, *neighbours = run(STEER)
    fed = tokens + list(steered.token_ids)[:-1]
    seen, right = adapted.run(fed, changing([STEER], vectors, len(tokens)))
    name = asking.name_of(own)
    told = engine.sidecar.told(name)
    error = _error(told, expected(seen, vectors))
    assert error < 2 * WITHIN
    assert error < _error(told, expected(adapted.run(fed)[0], vectors)), "it was not steered"
    of_tokens = right[np.arange(39, len(fed)), list(steered.token_ids)]
    np.testing.assert_allclose(logprobs(steered), of_tokens, atol=0.3)
    _, _, *beside = run()
    assert [(list(answer.token_ids), logprobs(answer)) for answer in beside] == [
        (list(answer.token_ids), logprobs(answer)) for answer in neighbours
    ]
