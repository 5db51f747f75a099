"""Recomputes the results of `personaguard screen` and `verify` with numpy, from the activations
that they exported.

    personaguard screen … --states SCREEN.states --out RANKS.jsonl
    python check_measures.py screen VECTORS.safetensors SCREEN.states RANKS.jsonl
    personaguard verify … --states VERIFY.states
    python check_measures.py verify VECTORS.safetensors VERIFY.states

Needs numpy and safetensors. Fails past a tolerance of 1e-4, relative to the largest value."""

import json
import pathlib
import sys
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

what, vectors_path, states_path, *rest = sys.argv[1:]
with safe_open(vectors_path, "np") as file:
    about = json.loads(file.metadata()["persona_vector"])
vectors = load_file(vectors_path)["response_avg"].astype(np.float64)
units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
states = {name: tensor.astype(np.float64) for name, tensor in load_file(states_path).items()}
worst: dict[str, float] = {}


def compare(name: str, ours: Any, numpy: Any) -> None:
    ours, numpy = np.asarray(ours, np.float64), np.asarray(numpy, np.float64)
    worst[name] = np.abs(ours - numpy).max() / max(np.abs(numpy).max(), 1e-9)


if what == "screen":
    with pathlib.Path(rest[0]).open() as file:
        by_line = {line["line"]: line["traits"][about["trait"]] for line in map(json.loads, file)}
    ranks = [by_line[int(line)] for line in states["line"]]
    full = ranks[0]["fullReference"]
    layers = (
        [about["bestLayer"]] if full else list(range((len(vectors) - 1) // 2 + 1, len(vectors) - 1))
    )
    layers = layers[:: max(1, -(-len(layers) // 16))]
    mean = [0 if full else about["calibration"][layer]["mean"] for layer in layers]
    deviation = [
        1 if full else about["calibration"][layer]["standardDeviation"] for layer in layers
    ]

    def gauge(activations: np.ndarray) -> np.ndarray:
        projections = np.einsum("nlh,lh->nl", activations[:, layers], units[layers])
        return ((projections - mean) / deviation).mean(axis=1)

    answer = gauge(states["answer"])
    reference = gauge(states["own"]) if len(states["own"]) else np.zeros_like(answer)
    slope = 1.0 if full else 0.0
    if not full and reference.std() > 0:
        slope = float(np.clip(np.cov(answer, reference, ddof=0)[0, 1] / reference.var(), 0, 1))
    compare("answer", [one["answer"] for one in ranks], answer)
    compare("reference", [one["reference"] for one in ranks], reference)
    compare(
        "projection difference",
        [one["projectionDifference"] for one in ranks],
        answer - slope * reference,
    )
else:
    name, layer = about["trait"], about["bestLayer"]
    with safe_open(states_path, "np") as file:
        reported = json.loads(file.metadata()[name])
    base, tuned = states[f"{name}:base"] @ units[layer], states[f"{name}:tuned"] @ units[layer]
    moved = tuned - base
    compare("shift", reported["mean"], moved.mean())
    compare("its error", reported["error"], moved.std(ddof=1) / np.sqrt(len(moved)))
    compare("shift in sigmas", reported["sigmas"], moved.mean() / base.std(ddof=1))
for name, error in worst.items():
    print(f"{name:<26} {error:.1e}")
sys.exit(int(max(worst.values()) > 1e-4))
