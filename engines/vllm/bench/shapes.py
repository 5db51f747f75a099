"""Models of given shapes with random weights: only their configuration is written to disk."""

import json
from pathlib import Path
from typing import Any

LLAMA_3_2_1B: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": True,
}
QWEN2_5_7B: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
}
SMOLLM2: dict[str, Any] = LLAMA_3_2_1B | {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
}
# For rehearsals.
TINY: dict[str, Any] = QWEN2_5_7B | {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1024,
}


def write(folder: Path, shape: dict[str, Any]) -> None:
    """A folder that vLLM loads with `load_format="dummy"` and without a tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    common: dict[str, Any] = {
        "hidden_act": "silu",
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(common | shape))


def write_weights(folder: Path, shape: dict[str, Any], dtype: Any, device: str) -> None:
    """The same with weights, of a size that keeps the stream's."""
    import torch
    from safetensors.torch import save_file

    write(folder, shape)
    hidden, inner = shape["hidden_size"], shape["intermediate_size"]
    pairs = hidden // shape["num_attention_heads"] * shape["num_key_value_heads"]
    generator = torch.Generator(device).manual_seed(0)

    def random(rows: int, width: int) -> torch.Tensor:
        values = torch.randn(rows, width, generator=generator, device=device)
        return (values / width**0.5).to(dtype).cpu()

    def ones() -> torch.Tensor:
        return torch.ones(hidden, dtype=dtype)

    tensors = {
        "model.embed_tokens.weight": random(shape["vocab_size"], hidden),
        "lm_head.weight": random(shape["vocab_size"], hidden),
        "model.norm.weight": ones(),
    }
    for layer in range(shape["num_hidden_layers"]):
        block = {
            "input_layernorm": ones(),
            "post_attention_layernorm": ones(),
            "self_attn.q_proj": random(hidden, hidden),
            "self_attn.k_proj": random(pairs, hidden),
            "self_attn.v_proj": random(pairs, hidden),
            "self_attn.o_proj": random(hidden, hidden),
            "mlp.gate_proj": random(inner, hidden),
            "mlp.up_proj": random(inner, hidden),
            "mlp.down_proj": random(hidden, inner),
        }
        for name, values in block.items():
            tensors[f"model.layers.{layer}.{name}.weight"] = values
        if shape["model_type"] == "qwen2":
            for name, width in (("q", hidden), ("k", pairs), ("v", pairs)):
                bias = torch.zeros(width, dtype=dtype)
                tensors[f"model.layers.{layer}.self_attn.{name}_proj.bias"] = bias
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
