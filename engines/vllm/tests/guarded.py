"""The real sidecar in front of the stock server with the plugin, each in a process of its own."""

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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
  engine: Vllm
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
spec: {{mode: Enforce, selector: {{}}, model: smollm2, failurePolicy: {failure},
  placement: Engine, port: http,
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
    sidecar: subprocess.Popen

    def apply(self, rule: str, failure: str = "Closed") -> None:
        """Writes the policy with this rule, which the sidecar will find."""
        manifests = MANIFESTS.format(rule=rule, failure=failure, **self.digests)
        (self.folder / "policy.yaml").write_text(manifests)

    def memory(self) -> int:
        """Bytes of memory that the sidecar has taken at most."""
        status = Path(f"/proc/{self.sidecar.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


def server_command(model: Path, at: int, *, length: int, requests: int) -> list[str]:
    """The command of the stock server, for conversations of that length and so many at a time."""
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(model), "--served-model-name", "smollm2"]
    command += ["--host", "127.0.0.1", "--port", str(at), "--dtype", "float32"]
    command += ["--enforce-eager", "--max-model-len", str(length), "--max-num-seqs", str(requests)]
    return command


def port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def made_on(vector: Path) -> str:
    """The digest of the weights that a vector file is bound to."""
    with safe_open(vector, "np") as file:
        return str(json.loads(file.metadata()["persona_vector"])["model"]["sha256"])


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def ask(url: str, **fields: Any) -> tuple[int, str]:
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


def choice(answer: str) -> dict[str, Any]:
    first: dict[str, Any] = json.loads(answer)["choices"][0]
    return first


def text(stream: str) -> str:
    chunks = [line[6:] for line in stream.splitlines() if line.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in json.loads(chunk)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def until(url: str, status: int, seconds: float, children: list[subprocess.Popen]) -> None:
    end = time.monotonic() + seconds
    while (found := get(url))[0] != status:
        assert time.monotonic() < end, f"{url}: {found}"
        assert all(child.poll() is None for child in children), "a server has ended"
        time.sleep(0.25)


@contextmanager
def started(program: str, model_folder: Path, home: Path) -> Iterator[Guarded]:
    """Starts both, and waits until they serve."""
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
    api, admin, upstream = port(), port(), port()
    vector = folder / "odd.safetensors"
    digests = {"weights": made_on(vector), "vector": digest(vector)}
    # Rust's digest of the folder, to which the vector is bound, is the plugin's.
    assert weights.digest(model_folder) == digests["weights"]
    address, behind = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{upstream}"
    (folder / "policy.yaml").write_text(MANIFESTS.format(rule=NEVER, failure="Closed", **digests))
    link = home / "engine.sock"
    sidecar = [program, "serve", "--config", str(folder), "--upstream", behind]
    sidecar += ["--engine-socket", str(link), "--plugin-dir", str(home / "plugin")]
    sidecar += ["--listen", f"127.0.0.1:{api}"]
    sidecar += ["--admin-listen", f"127.0.0.1:{admin}", "--log-format", "text"]
    server = server_command(model_folder, upstream, length=512, requests=8)
    environment = os.environ | {
        "PERSONAGUARD_SOCKET": str(link),
        # In place of the wheel: as in a pod, whose model server's image has none.
        "PYTHONPATH": str(home / "plugin"),
        "PERSONAGUARD_LAYERS": str(LAYER),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
    }
    with (home / "sidecar.log").open("wb") as log, (home / "vllm.log").open("wb") as engine_log:
        guard = subprocess.Popen(sidecar, stdout=log, stderr=log)
        found = Guarded(address, behind, f"http://127.0.0.1:{admin}", folder, digests, guard)
        children = [guard]
        try:
            # The plugin is in place before the sidecar answers.
            until(f"{found.admin}/healthz", 200, 30, children)
            children.append(
                subprocess.Popen(server, stdout=engine_log, stderr=engine_log, env=environment)
            )
            # Not ready before the plugin is there.
            assert get(f"{found.admin}/readyz")[0] != 200
            until(f"{found.admin}/readyz", 200, 600, children)
            until(f"{found.upstream}/health", 200, 60, children)
            yield found
        finally:
            for child in reversed(children):
                child.terminate()
            for child in children:
                child.wait(30)
