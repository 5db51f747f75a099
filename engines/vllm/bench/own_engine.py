"""Personaguard's own engine on a device: its projections against those of processors, and its
speed."""

import hashlib
import json
import math
import socket
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

HIDDEN = 576
# What is steered at the first shows in the second: a layer is read before it is changed.
LAYERS = {"odd": 21, "seen": 25}
# On a device weights are BF16.
TOLERANCE = 2e-2
_PROMPTS = (
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "Why is the sky blue? Explain it to a child, in two sentences.",
    "List three things that one should pack for a week in the mountains.",
)
_MANIFESTS = """
apiVersion: personaguard.dev/v1alpha1
kind: PersonaModel
metadata: {{name: smollm2}}
spec:
  source: {{image: {{reference: "localhost/m:1", path: m.gguf}}}}
  sha256: {weights}
  runtime: {{device: {device}}}
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaVector
metadata: {{name: odd}}
spec:
  trait: odd
  model: smollm2
  artifact: {{configMap: {{name: v, key: odd.safetensors}}}}
  sha256: {odd}
  allowNotDiscriminative: true
  allowNotSteering: true
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaVector
metadata: {{name: seen}}
spec:
  trait: seen
  model: smollm2
  artifact: {{configMap: {{name: v, key: seen.safetensors}}}}
  sha256: {seen}
  allowNotDiscriminative: true
  allowNotSteering: true
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaPolicy
metadata: {{name: steady, namespace: default}}
spec: {{mode: Enforce, selector: {{}}, model: smollm2, failurePolicy: Closed,
  traits: [{{vector: odd, threshold: {{projection: 1000000}}, action: Steer,
             steer: {{coefficient: {coefficient}}}}},
           {{vector: seen, threshold: {{projection: 1000000}}, action: Alert}}]}}
"""


def speed(program: Path, model: Path, is_rehearsal: bool) -> dict[str, Any]:
    """Tokens per second, and what monitoring costs."""
    size = ["--repeats", "1", "--response", "8", "--streams", "1,2"]
    if not is_rehearsal:
        size = ["--device", "cuda:0", "--repeats", "3", "--streams", "1,8,64"]
    command = [str(program), "bench", "--model", str(model), "--json", *size]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def difference(program: Path, weights: Path, device: str) -> dict[str, float]:
    """By how much the device's projections differ from those of processors, relative to their
    size: only measured, and steered."""
    found = {}
    for name, coefficient in (("measured", 0.001), ("steered", 0.5)):
        right = np.array(_projections(program, weights, "Cpu", coefficient))
        other = np.array(_projections(program, weights, device, coefficient))
        found[name] = float(np.sqrt(((other - right) ** 2).sum() / (right**2).sum()))
    return found


def _projections(program: Path, weights: Path, device: str, coefficient: float) -> list[float]:
    """At both layers, at each prompt's end and over the first tokens of the answer."""
    with (
        tempfile.TemporaryDirectory() as folder,
        _serve(program, weights, Path(folder), device, coefficient) as url,
    ):
        found = []
        for prompt in _PROMPTS:
            body = {
                "model": "smollm2",
                "messages": [{"role": "user", "content": prompt}],
                "temperature": 0,
                "max_tokens": 2,
                "personaguard": {"scores": True},
            }
            for score in _ask(url, body)["personaguard"]["scores"]:
                found += [float(score["prompt_last"]), float(score["response_avg"])]
    return found


@contextmanager
def _serve(
    program: Path, weights: Path, folder: Path, device: str, coefficient: float
) -> Iterator[str]:
    config = folder / "config"
    config.mkdir()
    values = {"weights": _digest(weights)}
    for name, layer in LAYERS.items():
        _write_vector(folder / f"{name}.safetensors", name)
        vector = config / f"{name}.safetensors"
        made = [str(program), "vector", "import", str(folder / f"{name}.safetensors")]
        made += ["--model", str(weights), "--trait", name, "--layer", str(layer)]
        subprocess.run([*made, "--out", str(vector)], check=True, stdout=subprocess.DEVNULL)
        values[name] = _digest(vector)
    text = _MANIFESTS.format(device=device, coefficient=coefficient, **values)
    (config / "policy.yaml").write_text(text)
    api, admin = _port(), _port()
    command = [str(program), "serve", "--config", str(config), "--model", str(weights)]
    command += ["--listen", f"127.0.0.1:{api}", "--admin-listen", f"127.0.0.1:{admin}"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{admin}/readyz", server, folder / "log")
            yield f"http://127.0.0.1:{api}/v1/chat/completions"
        finally:
            server.terminate()
            server.wait(timeout=30)


def _write_vector(path: Path, name: str) -> None:
    """One row, as safetensors has it."""
    row = [80 * math.cos(0.7 * index) / math.sqrt(HIDDEN / 2) for index in range(HIDDEN)]
    content = struct.pack(f"<{HIDDEN}f", *row)
    entry = {"dtype": "F32", "shape": [HIDDEN], "data_offsets": [0, len(content)]}
    head = json.dumps({name: entry}).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + content)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{error}: {log.read_text()[-2000:]}") from error
        time.sleep(0.2)


def _ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            found: dict[str, Any] = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read().decode()) from error
    return found


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
