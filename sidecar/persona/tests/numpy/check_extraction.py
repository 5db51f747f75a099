"""Recomputes the results of an extraction with numpy, from the activations that it exported.

    personaguard extract … --out evil.safetensors --states evil.states
    python check_extraction.py evil.safetensors evil.states

Checks, at every layer, the vectors (mean differences), the held-out AUROC as generated and
rescored, and mean and spread of the benign projections. Fails past a tolerance of 1e-4 (relative
for values above 1)."""

import json
import pathlib
import struct
import sys
from typing import Any

import numpy as np

TOLERANCE = 1e-4


def load(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = {name: json.loads(text) for name, text in header.pop("__metadata__").items()}
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = (
            np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"]).astype(np.float64)
        )
    return tensors, metadata


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    above = scores[positive][:, None] - scores[~positive][None, :]
    return (above > 0).mean() + (above == 0).mean() / 2


vectors, about = load(sys.argv[1])
states, answers = load(sys.argv[2])
about = about["persona_vector"]
worst: dict[str, float] = {}


def compare(what: str, ours: Any, numpy: Any) -> None:
    ours, numpy = np.asarray(ours), np.asarray(numpy)
    error = np.abs(ours - numpy) / np.maximum(1, np.abs(numpy))
    worst[what] = max(worst.get(what, 0), float(error.max()))


by_question: dict[tuple, dict[bool, int]] = {}
for index, answer in enumerate(answers["extract"]):
    key = (answer["question"], answer["contrast"], answer["rollout"])
    by_question.setdefault(key, {})[answer["positive"]] = index
pairs = [pair for pair in by_question.values() if len(pair) == 2]
if len(pairs) != about["counts"]["positive"]:
    sys.exit(
        f"{len(pairs)} pairs were exported, but {about['counts']['positive']} made the vector: "
        "some were filtered"
    )
difference = np.mean(
    [states["extract"][pair[True]] - states["extract"][pair[False]] for pair in pairs], axis=0
)
compare("mean difference", vectors["response_avg"], difference)
positive = np.array([answer["positive"] for answer in answers["held_out"]])
for layer, vector in enumerate(difference):
    unit = vector / np.linalg.norm(vector)
    validation, calibration = about["validation"][layer], about["calibration"][layer]
    compare(
        "held-out AUROC", validation["auroc"], auroc(states["held_out"][:, layer] @ unit, positive)
    )
    compare(
        "rescored AUROC",
        validation["rescored"],
        auroc(states["held_out_rescored"][:, layer] @ unit, positive),
    )
    benign = states["benign"][:, layer] @ unit
    compare("benign mean", calibration["mean"], benign.mean())
    compare("benign standard deviation", calibration["standardDeviation"], benign.std(ddof=1))
for what, error in worst.items():
    print(f"{what:<26} {error:.1e}")
sys.exit(int(max(worst.values()) > TOLERANCE))
