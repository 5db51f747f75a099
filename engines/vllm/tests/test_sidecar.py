"""The real sidecar in front of the stock server with the plugin."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from personaguard_vllm import weights
from safetensors import safe_open
from safetensors.torch import save_file

PROGRAM = "PERSONAGUARD_TEST_PROGRAM"
LAYER = 21
ASKED = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
GREEDY = {"temperature": 0, "max_tokens": 24}
MANIFESTS = """
apiVersion: personaguard.dev/v1alpha1
kind: PersonaModel
metadata: {{name: smollm2}}
spec:
  source: {{image: {{reference: "localhost/m:1", path: m.gguf}}}}
  sha256: {weights}
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaVector
metadata: {{name: odd}}
spec:
  trait: odd
  model: smollm2
  artifact: {{configMap: {{name: v, key: odd.safetensors}}}}
  sha256: {vector}
  allowNotDiscriminative: true
  allowNotSteering: true
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaPolicy
metadata: {{name: steady, namespace: default}}
spec: {{mode: Enforce, selector: {{}}, model: smollm2, failurePolicy: Closed,
  traits: [{{vector: odd, {rule}}}]}}
"""
NEVER = "threshold: {projection: 1000000}, action: Block"
ALWAYS = "threshold: {projection: -1000000}, action: Block"
STEERED = "threshold: {projection: 1000000}, action: Steer, steer: {coefficient: 3}"


@dataclass
class Guarded:
    """The sidecar, the server behind it, and the folder that it follows."""

    url: str
    upstream: str
    admin: str
    folder: Path
    digests: dict[str, str]

    def apply(self, rule: str) -> None:
        """Puts a rule in force, and waits until it is."""
        text = MANIFESTS.format(rule=rule, **self.digests)
        (self.folder / "policy.yaml").write_text(text)


def _port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _made_on(vector: Path) -> str:
    """The digest of the weights that a vector file is bound to."""
    with safe_open(vector, "np") as file:
        return str(json.loads(file.metadata()["persona_vector"])["model"]["sha256"])


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def _ask(url: str, **fields: Any) -> tuple[int, str]:
    body = {"model": "smollm2", **ASKED, **GREEDY, **fields}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _choice(answer: str) -> dict[str, Any]:
    choice: dict[str, Any] = json.loads(answer)["choices"][0]
    return choice


def _text(stream: str) -> str:
    chunks = [line[6:] for line in stream.splitlines() if line.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in json.loads(chunk)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def _until(url: str, status: int, seconds: float, children: list[subprocess.Popen]) -> None:
    end = time.monotonic() + seconds
    while (found := _get(url))[0] != status:
        assert time.monotonic() < end, f"{url}: {found}"
        assert all(child.poll() is None for child in children), "a server has ended"
        time.sleep(0.25)


@pytest.fixture(scope="module")
def guarded(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    program = os.environ.get(PROGRAM, "")
    if not program:
        pytest.skip(f"{PROGRAM} does not name the sidecar's program; cargo xtask test does")
    home = tmp_path_factory.mktemp("guarded")
    folder = home / "config"
    folder.mkdir()
    row = torch.nn.functional.normalize(
        torch.randn(576, generator=torch.Generator().manual_seed(5)), dim=0
    )
    save_file({"odd": row * 80}, home / "row.safetensors")
    made = [program, "vector", "import", str(home / "row.safetensors")]
    made += ["--model", str(model_folder)]
    made += ["--trait", "odd", "--layer", str(LAYER), "--out", str(folder / "odd.safetensors")]
    subprocess.run(made, check=True)
    api, admin, upstream = _port(), _port(), _port()
    found = Guarded(
        f"http://127.0.0.1:{api}",
        f"http://127.0.0.1:{upstream}",
        f"http://127.0.0.1:{admin}",
        folder,
        {"weights": _made_on(folder / "odd.safetensors")}
        | {"vector": _digest(folder / "odd.safetensors")},
    )
    # Rust's digest of the folder, by which the vector is bound, is the plugin's.
    assert weights.digest(model_folder) == found.digests["weights"]
    found.apply(NEVER)
    link = home / "engine.sock"
    sidecar = [program, "serve", "--config", str(folder), "--upstream", found.upstream]
    sidecar += ["--engine-socket", str(link), "--plugin-dir", str(home / "plugin")]
    sidecar += ["--listen", f"127.0.0.1:{api}"]
    sidecar += ["--admin-listen", f"127.0.0.1:{admin}", "--log-format", "text"]
    server = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    server += ["--model", str(model_folder), "--served-model-name", "smollm2"]
    server += ["--host", "127.0.0.1", "--port", str(upstream), "--dtype", "float32"]
    server += ["--enforce-eager", "--max-model-len", "512", "--max-num-seqs", "8"]
    environment = os.environ | {
        "PERSONAGUARD_SOCKET": str(link),
        # In place of the wheel: as in a pod, whose model server's image has none.
        "PYTHONPATH": str(home / "plugin"),
        "PERSONAGUARD_LAYERS": str(LAYER),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
    }
    with (home / "sidecar.log").open("wb") as log, (home / "vllm.log").open("wb") as engine_log:
        children = [subprocess.Popen(sidecar, stdout=log, stderr=log)]
        try:
            # The plugin is in place before the sidecar answers.
            _until(f"{found.admin}/healthz", 200, 30, children)
            children.append(
                subprocess.Popen(server, stdout=engine_log, stderr=engine_log, env=environment)
            )
            # Not ready before the plugin is there.
            assert _get(f"{found.admin}/readyz")[0] != 200
            _until(f"{found.admin}/readyz", 200, 300, children)
            _until(f"{found.upstream}/health", 200, 60, children)
            yield found
        finally:
            for child in reversed(children):
                child.terminate()
            for child in children:
                child.wait(30)


@pytest.mark.engine
def test_an_answer_under_the_threshold_is_that_of_the_server(guarded: Guarded) -> None:
    status, answer = _ask(guarded.url)
    assert status == 200, answer
    own = _choice(_ask(guarded.upstream)[1])
    assert _choice(answer)["message"]["content"] == own["message"]["content"]
    assert _choice(answer)["finish_reason"] == own["finish_reason"]
    stream = _ask(guarded.url, stream=True)[1]
    assert _text(stream) == own["message"]["content"]
    assert "usage" not in stream
    # Cut by its length: its last token is measured, too.
    assert _choice(_ask(guarded.url, max_tokens=5)[1])["finish_reason"] == "length"
    # Of all these, none was left unscored, and one went past the sidecar.
    metrics = _get(f"{guarded.admin}/metrics")[1]
    unguarded = [
        line
        for line in metrics.splitlines()
        if line.startswith("personaguard_unguarded_responses_total")
    ]
    assert all(line.endswith(" 0") for line in unguarded), unguarded


@pytest.mark.engine
def test_what_the_sidecar_alone_says_is_refused_from_clients(guarded: Guarded) -> None:
    status, answer = _ask(guarded.url, vllm_xargs={"personaguard": "{}"})
    assert status == 400 and "vllm_xargs" in answer


@pytest.mark.engine
def test_an_edit_is_enforced_without_a_restart(guarded: Guarded) -> None:
    before = _choice(_ask(guarded.url)[1])["message"]["content"]
    guarded.apply(ALWAYS)
    end = time.monotonic() + 20
    while True:
        answer = _ask(guarded.url, stream=True)[1]
        if "content_filter" in answer:
            break
        assert time.monotonic() < end, answer
        time.sleep(0.25)
    assert _text(answer) == ""
    whole = _choice(_ask(guarded.url)[1])
    assert (whole["finish_reason"], whole["message"]["content"] or "") == ("content_filter", "")
    guarded.apply(STEERED)
    while True:
        status, answer = _ask(guarded.url)
        found = _choice(answer)
        if found["finish_reason"] != "content_filter" and found["message"]["content"] != before:
            break
        assert time.monotonic() < end + 20, answer
        time.sleep(0.25)
    assert status == 200
    guarded.apply(NEVER)
    while _choice(_ask(guarded.url)[1])["message"]["content"] != before:
        assert time.monotonic() < end + 40
        time.sleep(0.25)
