"""What the plugin costs on processors: throughput with it as a share of that without it.

    throughput.py [SMOLLM2-FOLDER] [--rounds N] [--json FILE]

Eight vectors at two layers, every stream measured, one steered. Run it with vLLM's Python, on a
machine that is otherwise idle. Without a folder only the wide model with random weights is
measured. `cargo xtask test --only vllm` makes the folder: ~/.cache/personaguard/vllm/smollm2.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import shapes
from paired import Ratio, one, table

# Below these the plugin costs more than was promised.
GOALS = {"hidden 2048, 16 layers": 0.99, "smollm2": 0.97}
STREAMS = (1, 16)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="SmolLM2 as a hub folder")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--prompt", type=int, default=128, help="tokens of each prompt")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of each answer")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    given = parser.parse_args()
    figures: dict[str, list[dict[str, Any]]] = {}
    is_good = True
    with tempfile.TemporaryDirectory() as folder:
        shapes.write(Path(folder), shapes.LLAMA_3_2_1B)
        cases: list[tuple[str, dict[str, Any], int, tuple[int, int]]] = [
            ("hidden 2048, 16 layers", {"model": folder, "load_format": "dummy"}, 2048, (8, 11))
        ]
        if given.folder is not None:
            cases.append(("smollm2", {"model": str(given.folder)}, 576, (15, 21)))
        for name, model, hidden, layers in cases:
            ratios = _measure(given, model, hidden, layers)
            print(f"\n{name}: at least {GOALS[name]} is wanted\n{table(ratios)}", flush=True)
            figures[name] = [asdict(ratio) for ratio in ratios]
            is_good &= all(ratio.median >= GOALS[name] for ratio in ratios)
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1))
    return 0 if is_good else 1


def _measure(
    given: argparse.Namespace, model: dict[str, Any], hidden: int, layers: tuple[int, int]
) -> list[Ratio]:
    options = model | {
        "dtype": given.dtype,
        "enforce_eager": True,
        "skip_tokenizer_init": True,
        "max_model_len": 1024,
        "max_num_seqs": 32,
    }
    with one(options, hidden, layers) as engine:
        return [
            ratio
            for streams in STREAMS
            for ratio in engine.measure(streams, given.prompt, given.tokens, given.rounds)
        ]


if __name__ == "__main__":
    raise SystemExit(main())
