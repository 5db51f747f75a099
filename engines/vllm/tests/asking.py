"""Asking the engine, and the same computation in transformers."""

import itertools
import json
import struct
from pathlib import Path
from typing import Any

import adapter
import numpy as np
import torch
from conftest import LAYERS, SLOTS, Engine
from personaguard_vllm.plan import PLAN
from personaguard_vllm.vectors import Vector

_NUMBERS = itertools.count(1)


def vectors(seed: int = 0) -> list[Vector]:
    """Random vectors of very different norms, at both layers in turn."""
    random = np.random.default_rng(seed)
    found = []
    for slot in range(SLOTS):
        values = random.normal(size=576) * (0.05 * 2**slot)
        found.append(Vector(LAYERS[slot % len(LAYERS)], struct.pack("<576f", *values)))
    return found


def array(vector: Vector) -> np.ndarray:
    return np.array(vector.values)


def unique(name: str) -> str:
    return f"{name}-{next(_NUMBERS)}"


def parameters(plan: dict[str, Any] | None = None, **more: Any) -> Any:
    """Greedy sampling of 12 tokens with log-probabilities, under a plan."""
    from vllm import SamplingParams

    settings: dict[str, Any] = {
        "temperature": 0.0,
        "max_tokens": 12,
        "ignore_eos": True,
        "logprobs": 1,
    } | more
    if plan is not None:
        settings["extra_args"] = {PLAN: json.dumps(plan)}
    return SamplingParams(**settings)


def plan(number: int, *changes: dict[str, Any], name: str = "request") -> dict[str, Any]:
    return {"id": unique(name), "set": str(number), "changes": list(changes)}


def prompt(length: int, seed: int = 0) -> list[int]:
    """Random tokens, none of which is special."""
    return np.random.default_rng(seed).integers(1000, 40000, length).tolist()


def ask(
    engine: Engine, requests: list[tuple[list[int], Any]], adapters: list[Any] | None = None
) -> list[Any]:
    """One batch; the completions in order. `adapters`: for each request, its LoRA or `None`."""
    prompts = [{"prompt_token_ids": tokens} for tokens, _ in requests]
    outputs = engine.llm.generate(
        prompts, [given for _, given in requests], use_tqdm=False, lora_request=adapters
    )
    return [output.outputs[0] for output in outputs]


def logprobs(completion: Any) -> list[float]:
    """Of the tokens that were sampled."""
    return [
        step[token].logprob
        for token, step in zip(completion.token_ids, completion.logprobs, strict=True)
    ]


class Reference:
    """The model in transformers, in F32, with an adapter if one is given."""

    def __init__(self, folder: Path, lora: Path | None = None) -> None:
        from transformers import AutoModelForCausalLM

        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        if lora is not None:
            adapter.merge(self._model, lora)

    def run(
        self, tokens: list[int], change: Any = None
    ) -> tuple[dict[int, np.ndarray], np.ndarray]:
        """The residual stream after each tapped layer before it is changed, and the logits.

        `change(layer, stream)` gives the stream that goes on, for all positions.
        """
        seen: dict[int, np.ndarray] = {}

        def hook(layer: int) -> Any:
            def after(_module: Any, _inputs: Any, output: Any) -> Any:
                stream = output[0] if isinstance(output, tuple) else output
                seen[layer] = stream[0].numpy().astype(np.float64)
                if change is None:
                    return output
                new = torch.from_numpy(change(layer, seen[layer]).astype(np.float32))[None]
                return (new, *output[1:]) if isinstance(output, tuple) else new

            return after

        blocks = self._model.model.layers
        hooks = [blocks[layer - 1].register_forward_hook(hook(layer)) for layer in LAYERS]
        try:
            with torch.no_grad():
                logits = self._model(torch.tensor([tokens])).logits[0]
        finally:
            for registered in hooks:
                registered.remove()
        return seen, torch.log_softmax(logits.double(), -1).numpy()


def expected(seen: dict[int, np.ndarray], given: list[Vector]) -> np.ndarray:
    """Projections of every position, by slot."""
    columns = [
        seen[vector.layer] @ array(vector) / np.linalg.norm(array(vector)) for vector in given
    ]
    return np.stack(columns, axis=1)


def assert_told(
    told: dict[int, np.ndarray], right: np.ndarray, length: int, fed: int, within: float = 1e-4
) -> None:
    """Each position from the prompt's last on was told, up to a share of its projections' size."""
    assert sorted(told) == list(range(length - 1, fed)), "a position is missing or surplus"
    for position, reading in told.items():
        scale = np.maximum(np.abs(right[position]), np.sqrt((right**2).mean(axis=0)))
        error = np.abs(reading - right[position]) / scale
        assert error.max() < within, f"position {position}: {error.max()}"


def changing(case: list[dict[str, Any]], given: list[Vector], length: int) -> Any:
    """The changes of a plan as the definitions of steering and capping have them."""

    def change(layer: int, stream: np.ndarray) -> np.ndarray:
        new = stream.copy()
        for entry in case:
            vector = given[entry["slot"]]
            if vector.layer != layer:
                continue
            values = array(vector)
            unit = values / np.linalg.norm(values)
            acts = np.arange(len(stream)) >= (0 if entry["positions"] == "all" else length)
            if "when" in entry:
                read = array(given[entry["when"]["slot"]])
                acts &= stream @ read / np.linalg.norm(read) > entry["when"]["above"]
            if "add" in entry:
                new[acts] += entry["add"] * values
            else:
                bounds = [entry["low"], entry["high"]]
                value = new @ unit
                bounded = np.clip(
                    value,
                    *(
                        np.inf * sign if bound is None else bound
                        for sign, bound in zip((-1, 1), bounds, strict=True)
                    ),
                )
                new[acts] -= ((value - bounded)[:, None] * unit)[acts]
        return new

    return change


def name_of(sampling: Any) -> str:
    """The id in the plan of these parameters."""
    return str(json.loads(sampling.extra_args[PLAN])["id"])
