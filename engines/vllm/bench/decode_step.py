"""One decoding step of a model of a given shape, with random weights, as vLLM computes it."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

# Tokens that each request has in its cache.
CONTEXT = 512


def backend(device: torch.device) -> str:
    """What compiles; a rehearsal only traces."""
    return "inductor" if device.type == "cuda" else "eager"


class _Block(nn.Module):
    """A block of Qwen2: its output is the sum of what it returns."""

    def __init__(self, shape: dict[str, Any], batch: int, device: torch.device) -> None:
        super().__init__()
        hidden, inner = shape["hidden_size"], shape["intermediate_size"]
        self.heads, self.pairs = shape["num_attention_heads"], shape["num_key_value_heads"]
        self.width = hidden // self.heads
        options: dict[str, Any] = {"device": device, "dtype": torch.bfloat16}
        joined = (self.heads + 2 * self.pairs) * self.width
        self.qkv = nn.Linear(hidden, joined, **options)
        self.out = nn.Linear(hidden, hidden, bias=False, **options)
        self.up = nn.Linear(hidden, 2 * inner, bias=False, **options)
        self.down = nn.Linear(inner, hidden, bias=False, **options)
        self.norm1 = nn.RMSNorm(hidden, **options)
        self.norm2 = nn.RMSNorm(hidden, **options)
        cache = torch.randn(2, batch, self.pairs, CONTEXT, self.width, **options)
        self.register_buffer("cache", cache)

    def forward(
        self, hidden: torch.Tensor, residual: torch.Tensor, turn: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        count = hidden.shape[0]
        residual = hidden + residual
        joined = self.qkv(self.norm1(residual)).view(count, -1, self.width)
        query, key, value = joined.split([self.heads, self.pairs, self.pairs], dim=1)
        query, key = _turned(query, turn), _turned(key, turn)
        cache = self.cache[:, :count]
        cache[0, :, :, -1] = key
        cache[1, :, :, -1] = value
        seen = functional.scaled_dot_product_attention(
            query.unsqueeze(2), cache[0], cache[1], enable_gqa=True
        )
        residual = residual + self.out(seen.reshape(count, -1))
        gate, up = self.up(self.norm2(residual)).chunk(2, dim=-1)
        return self.down(functional.silu(gate) * up), residual


def _turned(values: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Rotary embedding, at one position."""
    one, other = values.chunk(2, dim=-1)
    cosine, sine = turn[0], turn[1]
    return torch.cat((one * cosine - other * sine, other * cosine + one * sine), dim=-1)


class DecodeStep(nn.Module):
    """From the last tokens' embeddings to logits. Blocks are compiled; taps follow them."""

    def __init__(self, shape: dict[str, Any], batch: int, device: torch.device) -> None:
        super().__init__()
        options: dict[str, Any] = {"device": device, "dtype": torch.bfloat16}
        self.layers: int = shape["num_hidden_layers"]
        self.blocks = nn.ModuleList(_Block(shape, batch, device) for _ in range(self.layers))
        # One graph for all blocks of a batch's size.
        torch._dynamo.config.recompile_limit = 64
        for block in self.blocks:
            block.compile(fullgraph=True, dynamic=False, backend=backend(device))
        self.norm = nn.RMSNorm(shape["hidden_size"], **options)
        self.head = nn.Linear(shape["hidden_size"], shape["vocab_size"], bias=False, **options)
        self.begin = torch.randn(batch, shape["hidden_size"], **options)
        angles = torch.rand(shape["hidden_size"] // shape["num_attention_heads"] // 2)
        self.turn = torch.stack((angles.cos(), angles.sin())).to(**options)
        self.requires_grad_(False)

    def forward(self, batch: int, taps: dict[int, nn.Module]) -> torch.Tensor:
        hidden = self.begin[:batch].clone()
        residual = torch.zeros_like(hidden)
        for number, block in enumerate(self.blocks):
            hidden, residual = block(hidden, residual, self.turn)
            if number in taps:
                taps[number](hidden, residual)
        return self.head(self.norm(hidden + residual))
