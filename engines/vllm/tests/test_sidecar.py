"""The real sidecar in front of the stock server with the plugin."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from guarded import (
    ALWAYS,
    NEVER,
    PROGRAM,
    STEERED,
    Guarded,
    ask,
    choice,
    get,
    started,
    text,
)


@pytest.fixture(scope="module")
def guarded(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    program = os.environ.get(PROGRAM, "")
    if not program:
        pytest.skip(f"{PROGRAM} does not name the sidecar's program; cargo xtask test does")
    with started(program, model_folder, tmp_path_factory.mktemp("guarded")) as found:
        yield found


@pytest.mark.engine
def test_an_answer_under_the_threshold_is_that_of_the_server(guarded: Guarded) -> None:
    status, answer = ask(guarded.url)
    assert status == 200, answer
    own = choice(ask(guarded.upstream)[1])
    assert choice(answer)["message"]["content"] == own["message"]["content"]
    assert choice(answer)["finish_reason"] == own["finish_reason"]
    stream = ask(guarded.url, stream=True)[1]
    assert text(stream) == own["message"]["content"]
    assert "usage" not in stream
    # Cut by its length: its last token is measured, too.
    assert choice(ask(guarded.url, max_tokens=5)[1])["finish_reason"] == "length"
    # Of all these, none was left unscored, and one went past the sidecar.
    metrics = get(f"{guarded.admin}/metrics")[1]
    unguarded = [
        line
        for line in metrics.splitlines()
        if line.startswith("personaguard_unguarded_responses_total")
    ]
    assert all(line.endswith(" 0") for line in unguarded), unguarded


@pytest.mark.engine
def test_what_the_sidecar_alone_says_is_refused_from_clients(guarded: Guarded) -> None:
    status, answer = ask(guarded.url, vllm_xargs={"personaguard": "{}"})
    assert status == 400 and "vllm_xargs" in answer


@pytest.mark.engine
def test_an_edit_is_enforced_without_a_restart(guarded: Guarded) -> None:
    before = choice(ask(guarded.url)[1])["message"]["content"]
    guarded.apply(ALWAYS)
    end = time.monotonic() + 20
    while True:
        answer = ask(guarded.url, stream=True)[1]
        if "content_filter" in answer:
            break
        assert time.monotonic() < end, answer
        time.sleep(0.25)
    assert text(answer) == ""
    whole = choice(ask(guarded.url)[1])
    assert (whole["finish_reason"], whole["message"]["content"] or "") == ("content_filter", "")
    guarded.apply(STEERED)
    while True:
        status, answer = ask(guarded.url)
        found = choice(answer)
        if found["finish_reason"] != "content_filter" and found["message"]["content"] != before:
            break
        assert time.monotonic() < end + 20, answer
        time.sleep(0.25)
    assert status == 200
    guarded.apply(NEVER)
    while choice(ask(guarded.url)[1])["message"]["content"] != before:
        assert time.monotonic() < end + 40
        time.sleep(0.25)


@pytest.mark.engine
def test_metrics_say_which_plugin_is_there(guarded: Guarded) -> None:
    metrics = get(f"{guarded.admin}/metrics")[1]
    lines = [line for line in metrics.splitlines() if line.startswith("personaguard_engine_")]
    connected = [line for line in lines if line.startswith("personaguard_engine_connected{")]
    assert len(connected) == 1 and connected[0].endswith(" 1"), lines
    for label in ('vllm="0.32.0', 'runner="V1"', 'dtype="float32"', 'quantization=""'):
        assert label in connected[0]
    assert "personaguard_engine_dropped_messages_total 0" in lines


@pytest.mark.engine
def test_the_sidecar_takes_little_memory(guarded: Guarded) -> None:
    assert guarded.memory() < 100 << 20, guarded.memory()
