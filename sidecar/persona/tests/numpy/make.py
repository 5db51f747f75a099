"""Makes expected.json: what numpy computes from random activations.

    python make.py > expected.json

Needs numpy."""

import json

import numpy as np

rng = np.random.default_rng(20260101)
PAIRS, LAYERS, HIDDEN = 7, 3, 8


def draw(*shape: int) -> np.ndarray:
    return (rng.normal(size=shape) * 10).astype(np.float32)


positive = draw(PAIRS, LAYERS + 1, HIDDEN) + np.float32(4)
negative = draw(PAIRS, LAYERS + 1, HIDDEN)
vectors = positive.astype(np.float64).mean(0) - negative.astype(np.float64).mean(0)
units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
projections = np.einsum("nlh,lh->nl", positive, units)

# Screening: mean over the tokens of an answer, against that of the model's own answer.
answers, own = draw(5, 12, HIDDEN), draw(5, 9, HIDDEN)
differences = (answers.mean(1) - own.mean(1)).astype(np.float64) @ units[2]

# Finetuning: activations at the last prompt token.
base = draw(6, HIDDEN)
tuned = base + draw(6, HIDDEN) / np.float32(5)
moved = (tuned.astype(np.float64) - base.astype(np.float64)) @ units[1]
base_projection = base.astype(np.float64) @ units[1]

scores = np.round(rng.normal(size=40), 3)
labels = rng.random(40) < 0.4
above = (scores[labels][:, None] > scores[~labels][None]).mean() + 0.5 * (
    scores[labels][:, None] == scores[~labels][None]
).mean()
other = 0.6 * scores + rng.normal(size=40)

print(
    json.dumps(
        {
            "positive": positive.tolist(),
            "negative": negative.tolist(),
            "vectors": vectors.tolist(),
            "projections": projections.tolist(),
            "answers": answers.tolist(),
            "own": own.tolist(),
            "differences": differences.tolist(),
            "base": base.tolist(),
            "tuned": tuned.tolist(),
            "shift": {
                "mean": moved.mean(),
                "error": moved.std(ddof=1) / np.sqrt(len(moved)),
                "sigmas": moved.mean() / base_projection.std(ddof=1),
            },
            "scores": scores.tolist(),
            "labels": labels.tolist(),
            "auroc": above,
            "other": other.tolist(),
            "pearson": np.corrcoef(scores, other)[0, 1],
            "mean": scores.mean(),
            "standardDeviation": scores.std(ddof=1),
            "quantile90": np.quantile(scores, 0.9),
        }
    )
)
