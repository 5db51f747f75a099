"""The real sidecar in front of the stock server with the plugin."""

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
def test_several_answers_are_those_of_the_server(guarded: Guarded) -> None:
    asked: dict[str, Any] = {"n": 3, "seed": 5, "temperature": 1.0, "max_tokens": 12}
    status, answer = ask(guarded.url, **asked)
    assert status == 200, answer
    found, own = json.loads(answer), json.loads(ask(guarded.upstream, **asked)[1])
    said = [(one["index"], one["message"]["content"]) for one in found["choices"]]
    assert said == [(one["index"], one["message"]["content"]) for one in own["choices"]]
    assert len({text for _, text in said}) == 3, "each has a seed of its own"
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    assert [found["usage"][name] for name in counts] == [own["usage"][name] for name in counts]
    stream = ask(guarded.url, stream=True, **asked)[1]
    streamed = ["", "", ""]
    for line in stream.splitlines():
        if line.startswith("data: {"):
            for one in json.loads(line[6:])["choices"]:
                streamed[one["index"]] += one["delta"].get("content") or ""
    assert list(enumerate(streamed)) == said
    assert stream.count("[DONE]") == 1


@pytest.mark.engine
@pytest.mark.parametrize("path", ["messages", "responses"])
def test_text_that_nobody_counts_leaves_while_it_is_written(guarded: Guarded, path: str) -> None:
    question = "Tell me a long story about a fox and a hen."
    turns = [{"role": "user", "content": question}]
    body: dict[str, Any] = {"model": "smollm2", "stream": True, "temperature": 0}
    if path == "messages":
        body |= {"max_tokens": 60, "messages": turns}
    else:
        body |= {"max_output_tokens": 60, "input": turns}

    def told(url: str) -> tuple[str, list[float], float]:
        request = urllib.request.Request(
            f"{url}/v1/{path}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        text, began = "", time.monotonic()
        times: list[float] = []
        with urllib.request.urlopen(request, timeout=120) as answer:
            for line in answer:
                if not line.startswith(b"data: {"):
                    continue
                delta = json.loads(line[6:]).get("delta") or {}
                piece = delta if isinstance(delta, str) else delta.get("text") or ""
                text += piece
                times += [time.monotonic() - began] if piece else []
        return text, times, time.monotonic() - began

    own, _, _ = told(guarded.upstream)
    text, times, whole = told(guarded.url)
    # The last token of an answer that is cut is not measured in these APIs.
    assert len(text) > len(own) // 2 and own.startswith(text), (own, text)
    assert times[0] < whole / 2 and len(times) > 20, (times, whole)


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
