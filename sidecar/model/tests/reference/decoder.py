#!/usr/bin/env python3
"""A decoder in numpy that shares no code with the engine: the reference for its hidden states and
logits.

    pip install numpy gguf
    decoder.py MODEL.gguf TOKENS [--steps N]

TOKENS is a comma-separated prompt. Prints one JSON object: `greedy`, N tokens chosen greedily;
`states`, the residual stream of the prompt's last token at layers 0..=L, each as its first 16
values and its norm; `logits`, the first 64 logits after the prompt; `logprobs`, those of the greedy
tokens. Weights are dequantized to float64; activations are not quantized.
"""

import argparse
import json
import math
from typing import Any

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize


class Model:
    def __init__(self, path: str) -> None:
        reader = GGUFReader(path)
        self.tensors: dict[str, Any] = {t.name: t for t in reader.tensors}
        self.fields = reader.fields
        self.arch = self.get("general.architecture")

        def arch(key: str, default: Any = None) -> Any:
            return self.get(f"{self.arch}.{key}", default)

        self.layers = arch("block_count")
        self.hidden = arch("embedding_length")
        self.heads = arch("attention.head_count")
        self.kv_heads = arch("attention.head_count_kv", self.heads)
        self.width = arch("attention.key_length", self.hidden // self.heads)
        self.epsilon = arch("attention.layer_norm_rms_epsilon")
        self.rotary = arch("rope.dimension_count", self.width)
        self.window = arch("attention.sliding_window", 4096 if self.arch == "gemma2" else None)
        gemma = self.arch in ("gemma2", "gemma3")
        usual = (50.0, 30.0) if self.arch == "gemma2" else (0.0, 0.0)
        self.score_cap = arch("attn_logit_softcapping", usual[0])
        self.logit_cap = arch("final_logit_softcapping", usual[1])
        self.period = 2 if self.arch == "gemma2" else 6
        self.base = arch("rope.freq_base", 1e4 if self.arch in ("llama", "gemma2") else 1e6)
        is_linear = arch("rope.scaling.type", "none") == "linear"
        self.scale = arch("rope.scaling.factor", 1.0) if is_linear else 1.0
        self.interleaved = self.arch == "llama"
        self.gemma = gemma
        self.cache: dict[str, np.ndarray] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.fields[key].contents() if key in self.fields else default

    def weight(self, name: str) -> np.ndarray:
        if name not in self.cache:
            tensor = self.tensors[name]
            self.cache[name] = dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
        return self.cache[name]

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon) * self.weight(name)

    def rotate(self, x: np.ndarray, windowed: bool) -> np.ndarray:
        """x: [tokens][heads][width]"""
        base, scale = (1e4, 1.0) if windowed and self.arch == "gemma3" else (self.base, self.scale)
        pairs = self.rotary // 2
        frequency = base ** (-np.arange(pairs) / pairs) / scale
        if "rope_freqs.weight" in self.tensors:
            frequency = frequency / self.weight("rope_freqs.weight")
        angle = np.arange(len(x))[:, None, None] * frequency
        cos, sin = np.cos(angle), np.sin(angle)
        out = x.copy()
        if self.interleaved:
            first, second = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
        else:
            first, second = slice(0, pairs), slice(pairs, 2 * pairs)
        a, b = x[..., first], x[..., second]
        out[..., first], out[..., second] = a * cos - b * sin, a * sin + b * cos
        return out

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        y = x @ self.weight(name + ".weight").T
        return y + self.weight(name + ".bias") if name + ".bias" in self.tensors else y

    def forward(self, tokens: list[int]) -> tuple[list[np.ndarray], np.ndarray]:
        x = self.weight("token_embd.weight")[tokens]
        if self.gemma:
            x = x * math.sqrt(self.hidden)
        count = len(tokens)
        states = [x]
        for layer in range(self.layers):
            name = f"blk.{layer}.{{}}".format
            windowed = self.window is not None
            if self.gemma:
                windowed = windowed and (layer + 1) % self.period != 0
            h = self.norm(x, name("attn_norm.weight"))
            q = self.linear(h, name("attn_q")).reshape(count, self.heads, self.width)
            k = self.linear(h, name("attn_k")).reshape(count, self.kv_heads, self.width)
            v = self.linear(h, name("attn_v")).reshape(count, self.kv_heads, self.width)
            if name("attn_q_norm.weight") in self.tensors:
                q = self.norm(q, name("attn_q_norm.weight"))
                k = self.norm(k, name("attn_k_norm.weight"))
            q, k = self.rotate(q, windowed), self.rotate(k, windowed)
            k, v = (np.repeat(t, self.heads // self.kv_heads, axis=1) for t in (k, v))
            scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(self.width)
            scores = self.capped(scores, self.score_cap)
            distance = np.arange(count)[:, None] - np.arange(count)[None, :]
            hidden = distance < 0
            if windowed:
                hidden = hidden | (distance >= self.window)
            scores = np.where(hidden, -np.inf, scores)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            weights = weights / weights.sum(-1, keepdims=True)
            mixed = np.einsum("hqk,khd->qhd", weights, v).reshape(count, -1)
            h = self.linear(mixed, name("attn_output"))
            if name("post_attention_norm.weight") in self.tensors:
                h = self.norm(h, name("post_attention_norm.weight"))
            x = x + h
            h = self.norm(x, name("ffn_norm.weight"))
            gate, up = self.linear(h, name("ffn_gate")), self.linear(h, name("ffn_up"))
            if self.gemma:
                inner = math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)
                gate = 0.5 * gate * (1 + np.tanh(inner))
            else:
                gate = gate / (1 + np.exp(-gate))
            h = self.linear(gate * up, name("ffn_down"))
            if name("post_ffw_norm.weight") in self.tensors:
                h = self.norm(h, name("post_ffw_norm.weight"))
            x = x + h
            states.append(x)
        has_output = "output.weight" in self.tensors
        output = self.weight("output.weight" if has_output else "token_embd.weight")
        logits = self.norm(x[-1], "output_norm.weight") @ output.T
        return states, self.capped(logits, self.logit_cap)

    def capped(self, x: np.ndarray, cap: float) -> np.ndarray:
        return np.tanh(x / cap) * cap if cap else x


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("tokens")
    parser.add_argument("--steps", type=int, default=1)
    arguments = parser.parse_args()
    model = Model(arguments.model)
    tokens = [int(token) for token in arguments.tokens.split(",")]
    states, logits = model.forward(tokens)
    result: dict[str, Any] = {
        "prompt": tokens,
        "states": [
            {"values": s[-1][:16].tolist(), "norm": float(np.linalg.norm(s[-1]))} for s in states
        ],
        "logits": logits[:64].tolist(),
        "greedy": [],
        "logprobs": [],
    }
    for step in range(arguments.steps):
        if step > 0:
            _, logits = model.forward(tokens + result["greedy"])
        token, top = int(logits.argmax()), logits.max()
        result["greedy"].append(token)
        result["logprobs"].append(float(-np.log(np.exp(logits - top).sum())))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
