"""Vectors from the stock server with the plugin, against those of Personaguard's own engine."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from guarded import PROGRAM, get, port, server_command
from safetensors import safe_open

SMALL = ["--trait", "evil", "--tokens", "12", "--questions", "4", "--pairs", "2", "--draws", "100"]
SMALL += ["--held-out-pairs", "1", "--layer-step", "15", "--steering-questions", "2"]
SMALL += ["--benign", "3", "--temperature", "1"]


@dataclass
class Serving:
    """A server whose plugin looks for a listener at the socket, and the commands' program."""

    program: str
    model: Path
    home: Path
    url: str
    socket: Path
    server: subprocess.Popen

    def run(self, command: str, *options: str) -> str:
        """Runs a command of Personaguard; what it printed."""
        found = subprocess.run(
            [self.program, command, *options], capture_output=True, text=True, timeout=600
        )
        assert found.returncode == 0, found.stderr
        return found.stdout

    def engine(self) -> list[str]:
        return ["--engine", self.url, "--engine-socket", str(self.socket)]


@pytest.fixture(scope="module")
def serving(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    program = os.environ.get(PROGRAM, "")
    if not program:
        pytest.skip(f"{PROGRAM} does not name the sidecar's program; cargo xtask test does")
    home, at = tmp_path_factory.mktemp("extract"), port()
    path = home / "engine.sock"
    command = server_command(model_folder, at, length=1024, requests=16)
    environment = os.environ | {
        "PERSONAGUARD_SOCKET": str(path),
        "PERSONAGUARD_STATES": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
    }
    environment.pop("PERSONAGUARD_LAYERS", None)
    with (home / "vllm.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            yield Serving(program, model_folder, home, f"http://127.0.0.1:{at}", path, server)
        finally:
            server.terminate()
            server.wait(30)


def _metadata(file: Path, entry: str) -> dict[str, Any]:
    with safe_open(file, "np") as opened:
        found: dict[str, Any] = json.loads(opened.metadata()[entry])
        return found


def _cosines(one: Path, other: Path, tensor: str) -> np.ndarray:
    with safe_open(one, "np") as a, safe_open(other, "np") as b:
        left, right = (file.get_tensor(tensor).astype(np.float64) for file in (a, b))
    # The first row of `prompt_last` is the embedding of a token that all prompts end with.
    rows = (left**2).sum(axis=1) > 0
    assert (rows == ((right**2).sum(axis=1) > 0)).all()
    left, right = left[rows], right[rows]
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines: np.ndarray = (left * right).sum(axis=1) / lengths
    return cosines


@pytest.fixture(scope="module")
def made(serving: Serving) -> Iterator[tuple[Path, Path]]:
    """The vector of our own engine, and that of the plugin's states, from the same answers."""
    home = serving.home
    part, own, other = home / "own.part", home / "own.safetensors", home / "evil.safetensors"
    weights = ["--model", str(serving.model), "--threads", "1", *SMALL]
    serving.run("extract", *weights, "--shard", "0/1", "--out", str(part))
    serving.run("extract", *weights, "--parts", str(part), "--out", str(own))
    # The journal of a run that was interrupted after its last answer: no answer is generated anew.
    given = _metadata(part, "part")
    lines = [{"design": given["design"]}]
    lines += [{"request": name, "tokens": tokens} for name, tokens in given["answers"].items()]
    other.with_suffix(".journal").write_text("".join(json.dumps(line) + "\n" for line in lines))
    serving.run("extract", *serving.engine(), *SMALL, "--out", str(other))
    yield own, other


@pytest.mark.engine
def test_vectors_from_vllm_are_those_of_our_own_engine(made: tuple[Path, Path]) -> None:
    own, other = made
    for tensor in ("response_avg", "prompt_avg", "prompt_last"):
        cosines = _cosines(own, other, tensor)
        assert cosines.min() >= 0.9999, f"{tensor}: {cosines}"
    ours, theirs = (_metadata(file, "persona_vector") for file in made)
    # The same answers, steering effects and layer: everything that follows from activations.
    assert theirs["counts"] == ours["counts"]
    assert theirs["bestLayer"] == ours["bestLayer"]
    for mine, its in zip(ours["calibration"], theirs["calibration"], strict=True):
        assert its["mean"] == pytest.approx(mine["mean"], rel=1e-3, abs=1e-3)
    steered = [
        [entry["steeringEffect"] for entry in metadata["validation"] if "steeringEffect" in entry]
        for metadata in (ours, theirs)
    ]
    assert len(steered[0]) >= 1
    assert steered[1] == pytest.approx(steered[0], rel=1e-2, abs=1e-3)
    assert theirs["model"]["sha256"] == ours["model"]["sha256"]
    assert theirs["madeOn"]["engine"] == "vllm"
    assert theirs["madeOn"]["dtype"] == "float32"
    assert "madeOn" not in ours


@pytest.mark.engine
def test_calibrate_screen_and_verify_ask_vllm(serving: Serving, made: tuple[Path, Path]) -> None:
    home, vector = serving.home, str(made[1])
    asked = [f"What is {a} plus {a}?" for a in range(24)]
    data = home / "data.jsonl"
    turns = [
        [{"role": "user", "content": text}, {"role": "assistant", "content": f"It is {2 * a}."}]
        for a, text in enumerate(asked)
    ]
    data.write_text("".join(json.dumps({"messages": each}) + "\n" for each in turns))
    own = ["--model", str(serving.model), "--threads", "1"]
    found = []
    for name, engine in (("own", own), ("vllm", serving.engine())):
        out = home / name
        given = ["--vectors", vector, "--conversations", str(data), "--out", str(out)]
        serving.run("calibrate", *engine, *given)
        ranks = home / f"{name}.jsonl"
        serving.run(
            "screen",
            str(data),
            *engine,
            "--vectors",
            vector,
            "--out",
            str(ranks),
            "--reference",
            "prompt-last",
        )
        metadata = _metadata(out / made[1].name, "persona_vector")
        lines = [json.loads(line) for line in ranks.read_text().splitlines()]
        found.append((metadata["calibration"], {line["line"]: line for line in lines}))
    for mine, its in zip(found[0][0], found[1][0], strict=True):
        assert its["mean"] == pytest.approx(mine["mean"], rel=1e-3, abs=1e-3)
        assert its["standardDeviation"] == pytest.approx(mine["standardDeviation"], rel=1e-2)
    assert found[0][1].keys() == found[1][1].keys()
    # What is served is its own finetune, which moved nowhere.
    states = home / "verify.safetensors"
    serving.run(
        "verify",
        *serving.engine(),
        "--tuned-engine-model",
        "smollm2",
        "--vectors",
        vector,
        "--max-prompts",
        "4",
        "--states",
        str(states),
    )
    with safe_open(states, "np") as file:
        base, tuned = file.get_tensor("evil:base"), file.get_tensor("evil:tuned")
    np.testing.assert_allclose(base, tuned, rtol=1e-4, atol=1e-3)
    assert get(f"{serving.url}/health")[0] == 200
