"""Asking the engine for mean states, and what transformers has for them at every layer."""

from pathlib import Path

import adapter
import numpy as np
import torch
from asking import parameters, unique
from conftest import Engine


class Reference:
    """The stream at every layer in transformers, from the embedding output on."""

    def __init__(self, model: Path, adapter_folder: Path | None = None) -> None:
        from transformers import AutoModelForCausalLM

        self._model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
        if adapter_folder is not None:
            adapter.merge(self._model, adapter_folder)

    def run(self, tokens: list[int]) -> np.ndarray:
        """`[layers + 1, tokens, hidden]`."""
        seen: list[np.ndarray] = []

        def after(_module: object, _inputs: object, output: object) -> None:
            stream = output[0] if isinstance(output, tuple) else output
            assert isinstance(stream, torch.Tensor)
            seen.append(stream.reshape(-1, stream.shape[-1]).numpy().astype(np.float64))

        inner = self._model.model
        hooks = [m.register_forward_hook(after) for m in (inner.embed_tokens, *inner.layers)]
        try:
            with torch.no_grad():
                self._model(torch.tensor([tokens]))
        finally:
            for hook in hooks:
                hook.remove()
        return np.stack(seen)


def plan(length: int | None = None) -> dict:
    """A plan that asks for states of a prompt with a response from there on."""
    made = {"id": unique("states"), "changes": [], "states": True}
    return made if length is None else made | {"prompt": length}


def request(tokens: list[int], own: dict) -> tuple[list[int], object]:
    return tokens, parameters(own, max_tokens=1)


def assert_told(
    engine: Engine, own: dict, right: np.ndarray, length: int, within: float = 1e-4
) -> None:
    sent = right.shape[1]
    for of, first, end in (
        ("prompt_mean", 0, length),
        ("prompt_last", length - 1, length),
        ("response_mean", length, sent),
    ):
        if first == end:
            continue
        tokens, values = engine.sidecar.states(own["id"], of)
        mean = right[:, first:end].mean(axis=1)
        assert (tokens, values.shape) == (end - first, mean.shape)
        for layer, (told, exact) in enumerate(zip(values, mean, strict=True)):
            error = np.linalg.norm(told - exact) / np.linalg.norm(exact)
            assert error < within, f"{of} at layer {layer}: {error}"
