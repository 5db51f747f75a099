"""What can only be known on a GPU, in three parts, each of use without the next.

    gpu.py [--program PERSONAGUARD --gguf FILE] [--smollm2 FOLDER] [--json FILE]

1. The plugin's operator alone: PyTorch and Triton are enough.
2. Personaguard's own engine on the device: `personaguard`, built with the feature `cuda`, as
   --program, and SmolLM2's file.
3. vLLM with CUDA graphs and the plugin: vLLM for GPUs, pytest, transformers.

What is missing is named, and the rest is done; nothing is downloaded. Without a GPU all of it is
rehearsed on processors, at a small size. `cargo xtask check-gpu` calls this.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import own_engine
import shapes
import torch

HERE = Path(__file__).parent
IS_REHEARSAL = not torch.cuda.is_available()
# Of the plugin's cost in a decoding step, in per cent.
GOAL = 1.0
# Seconds for each part; together less than eight minutes.
LIMITS = {"operator": 120, "own": 120, "vllm": 230}
_TESTS = "projections_are_those or neighbours_of_steered or cached_blocks"
_FILE = "tests/test_engine.py"
_MODULES = ("vllm", "pytest", "transformers")


class MissingError(Exception):
    """Something that a part needs is not here. The text says what."""


def operator(_given: argparse.Namespace) -> dict[str, Any]:
    import gpu_op

    return gpu_op.run(IS_REHEARSAL)


def own(given: argparse.Namespace) -> dict[str, Any]:
    """Projections against those of processors; speed of both models, and what monitoring costs."""
    if given.program is None:
        raise MissingError("give --program: a `personaguard` that was built with the feature cuda")
    if given.gguf is None:
        raise MissingError("give --gguf: SmolLM2's file")
    device = "Cpu" if IS_REHEARSAL else "Cuda"
    error = own_engine.difference(given.program, given.gguf, device)
    found: dict[str, Any] = {
        "errors": [error],
        "speed of smollm2": own_engine.speed(given.program, given.gguf, IS_REHEARSAL),
    }
    if given.smollm2 is None:
        found["random 7B"] = "give --smollm2: its folder, whose tokenizer the random model has, too"
    elif not IS_REHEARSAL:
        with tempfile.TemporaryDirectory() as folder:
            shapes.write_weights(Path(folder), shapes.QWEN2_5_7B, torch.bfloat16, "cuda")
            shutil.copy(given.smollm2 / "tokenizer.json", folder)
            found["speed of random 7B"] = own_engine.speed(given.program, Path(folder), False)
    return found


def vllm(given: argparse.Namespace) -> dict[str, Any]:
    """The plugin's tests against transformers and against itself, then its cost."""
    missing = [name for name in _MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingError(f"this Python has no {', '.join(missing)}")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = given.smollm2
        if model is None:
            model = Path(folder) / "random"
            shapes.write_weights(model, shapes.SMOLLM2, torch.float32, "cpu")
        graphs = {} if IS_REHEARSAL else {"PERSONAGUARD_TEST_COMPILED": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", _TESTS, _FILE],
            cwd=HERE.parent,
            env=os.environ
            | {"PYTHONPATH": str(HERE.parent / "src"), "PERSONAGUARD_TEST_MODEL_FOLDER": str(model)}
            | graphs,
            check=False,
        )
        found["tests"] = [{"passed": float(done.returncode == 0)}]
        found["cost"] = _cost(Path(folder) / "shape")
    return found


def _cost(folder: Path) -> list[dict[str, Any]]:
    from paired import pair

    shape = shapes.TINY if IS_REHEARSAL else shapes.QWEN2_5_7B
    shapes.write(folder, shape)
    options = {
        "model": str(folder),
        "load_format": "dummy",
        "skip_tokenizer_init": True,
        "dtype": "bfloat16",
        "max_model_len": 1024,
        "max_num_seqs": 64,
        "enforce_eager": IS_REHEARSAL,
        # Two of them share the device.
        "gpu_memory_utilization": 0.4,
    }
    middle = shape["num_hidden_layers"] // 2
    batches, rounds = ((1, 2), 2) if IS_REHEARSAL else ((1, 8, 64), 8)
    with pair(options, shape["hidden_size"], (middle, middle + 1)) as engines:
        return [
            asdict(ratio)
            for batch in batches
            for ratio in engines.measure(batch, 64, 16 if IS_REHEARSAL else 64, rounds)
        ]


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "operator": operator,
    "own": own,
    "vllm": vllm,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, help="this part, in this process")
    parser.add_argument("--program", type=Path)
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--smollm2", type=Path)
    parser.add_argument("--json", type=Path, default=Path("check-gpu.json"))
    given = parser.parse_args()
    if given.only is not None:
        try:
            found = PARTS[given.only](given)
        except MissingError as error:
            found = {"missing": str(error)}
        given.json.write_text(json.dumps(found))
        return 0
    device = "processors, a rehearsal" if IS_REHEARSAL else torch.cuda.get_device_name()
    print(f"on {device}")
    found, is_good = {"device": device, "torch": torch.__version__}, True
    for part in PARTS:
        result = _apart(part)
        found[part] = result
        is_good &= _show(part, result)
        # After each part: the next one may not end.
        given.json.write_text(json.dumps(found, indent=1))
    print(f"\nfigures are in {given.json}")
    return 0 if is_good else 1


def _apart(part: str) -> dict[str, Any]:
    """Runs a part in a process of its own, which ends with its memory and in its time."""
    limit = LIMITS[part] * (8 if IS_REHEARSAL else 1)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "part.json"
        command = [sys.executable, __file__, *sys.argv[1:], "--only", part, "--json", str(file)]
        try:
            done = subprocess.run(command, timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            return {"failed": f"not done in {limit} s"}
        if done.returncode != 0 or not file.exists():
            return {"failed": f"ended with status {done.returncode}"}
        result: dict[str, Any] = json.loads(file.read_text())
    return result | {"seconds": round(time.monotonic() - begin)}


def _show(part: str, result: dict[str, Any]) -> bool:
    """Prints a part's tables. Says whether all is as it should be; what is missing is no fault."""
    print(f"\n{part}: {result.get('missing') or result.get('failed') or ''}".rstrip(": "))
    for name, rows in result.items():
        if isinstance(rows, list):
            print(f"  {name}")
            for row in rows:
                cells = (f"{key} {_figure(value)}" for key, value in row.items())
                print(f"    {', '.join(cells)}")
        elif isinstance(rows, dict):
            print(f"  {name}: {json.dumps(rows)}")
    shares = [row["share %"] for row in result.get("in a step", [])]
    shares += [
        100 / row["median"] - 100 for row in result.get("cost", []) if row["what"] == "decode"
    ]
    if shares:
        print(f"  costs {max(shares):.2f}% of a decoding step; at most {GOAL:g}% is wanted")
    is_near = all(
        error <= own_engine.TOLERANCE for row in result.get("errors", []) for error in row.values()
    )
    is_cheap = IS_REHEARSAL or all(share <= GOAL for share in shares)
    passed = all(row["passed"] for row in result.get("tests", []))
    return "failed" not in result and is_near and is_cheap and passed


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
