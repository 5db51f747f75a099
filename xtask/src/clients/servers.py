"""The servers that clients are pointed at: sidecars of each placement and policy, llama.cpp's
server, and LiteLLM's proxy in front of that.
"""

import hashlib
import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HOME = pathlib.Path(tempfile.mkdtemp(prefix="personaguard-clients-"))
MODEL = "smollm2"
# Clients insist on one, and LiteLLM's proxy on this one; all others take any.
KEY = f"sk-{secrets.token_hex(32)}"
CHILDREN: list[subprocess.Popen] = []
REMOVED = "[removed]"

# Thresholds that every answer has passed, and that none passes.
PASSED, NEVER_PASSED = -1e6, 1e6

MODEL_YAML = """
apiVersion: personaguard.dev/v1alpha1
kind: PersonaModel
metadata: {{name: {model}}}
spec:
  source: {{image: {{reference: "localhost/m:1", path: m.gguf}}}}
  sha256: {weights}
  runtime: {{contextLength: 2048, maxConcurrent: 4}}
"""
POLICY_YAML = """
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaVector
metadata: {{name: evil}}
spec:
  trait: evil
  model: {model}
  artifact: {{configMap: {{name: v, key: evil.safetensors}}}}
  sha256: {vector}
  allowNotDiscriminative: true
  allowNotSteering: true
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaPolicy
metadata: {{name: no-villains, namespace: default}}
spec: {{mode: Enforce, selector: {{}}, model: {model}, {placement}, failurePolicy: Closed,
  traits: [{{vector: evil, threshold: {{projection: {threshold}}}, {action}}}]}}
"""


def port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(name: str, command: list[str], url: str, **environment: str) -> None:
    """Starts a server, and waits until it answers there."""
    environment = {**os.environ, **environment}
    path = HOME / f"{name}.log"
    with path.open("wb") as log:
        child = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment
        )
    CHILDREN.append(child)
    for _ in range(1200):
        if child.poll() is not None:
            raise SystemExit(f"{name} ended:\n{path.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.25)
    raise SystemExit(f"{name} did not start")


def stop() -> None:
    for child in reversed(CHILDREN):
        child.terminate()
        child.wait(10)


def digest(file: str) -> str:
    return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()


class Sidecars:
    """Sidecars of one program, model and vector."""

    def __init__(self, program: str, weights: str, vector: str) -> None:
        self.program, self.weights, self.vector = program, weights, vector
        self.digests = {"weights": digest(weights), "vector": digest(vector)}

    def start(
        self, name: str, upstream: str | None, action: str | None, threshold: float
    ) -> tuple[str, str]:
        """In front of a server, or as the server, under a policy or none. Gives its URL and that of
        its metrics.
        """
        folder = HOME / name
        folder.mkdir()
        manifests = MODEL_YAML.format(model=MODEL, **self.digests)
        if action:
            shutil.copy(self.vector, folder / "evil.safetensors")
            manifests += POLICY_YAML.format(
                model=MODEL,
                placement="placement: Proxy, port: http" if upstream else "placement: Serve",
                threshold=threshold,
                action=f"action: {action}"
                + (f", redact: {{text: '{REMOVED}'}}" if action == "Redact" else ""),
                **self.digests,
            )
        (folder / "policy.yaml").write_text(manifests)
        api, admin = port(), port()
        command = [self.program, "serve", "--config", str(folder), "--model", self.weights]
        command += ["--upstream", upstream] if upstream else []
        command += ["--listen", f"127.0.0.1:{api}", "--admin-listen", f"127.0.0.1:{admin}"]
        start(name, [*command, "--log-format", "text"], f"http://127.0.0.1:{admin}/readyz")
        return f"http://127.0.0.1:{api}", f"http://127.0.0.1:{admin}/metrics"


def llama_cpp(program: str, weights: str) -> str:
    """llama.cpp's server. A prompt is read anew each time: what is read in other batches has other
    sums, and greedy answers could differ.
    """
    at = port()
    command = [program, "--model", weights, "--alias", MODEL, "--host", "127.0.0.1"]
    command += ["--port", str(at), "--ctx-size", "8192", "--parallel", "4", "--jinja"]
    # Several threads wait for each other, which takes long where the sidecar keeps cores busy, too.
    command += ["--no-cache-prompt", "--cache-ram", "0", "--threads", "1"]
    start("llama.cpp", command, f"http://127.0.0.1:{at}/health")
    return f"http://127.0.0.1:{at}"


def litellm_proxy(upstream: str) -> str:
    """LiteLLM's proxy in front of a server."""
    at, config = port(), HOME / "litellm.json"
    params = {"model": f"openai/{MODEL}", "api_base": f"{upstream}/v1", "api_key": "unused"}
    config.write_text(json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": params}]}))
    program = pathlib.Path(sys.executable).parent / "litellm"
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(at)]
    start("LiteLLM", command, f"http://127.0.0.1:{at}/health/liveliness", LITELLM_MASTER_KEY=KEY)
    return f"http://127.0.0.1:{at}"


def metric(url: str, series: str) -> float:
    with urllib.request.urlopen(url) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line.startswith(series)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)
