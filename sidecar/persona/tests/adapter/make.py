"""Makes a small random base model in the Hugging Face format, a LoRA adapter for it as PEFT writes
it, the merged model, and a matrix of vectors. With them, `personaguard verify --adapter` can be run
as a command, and compared with `--tuned` and with numpy:

    python make.py DIR
    personaguard vector import DIR/matrix.safetensors --model DIR/base --trait evil --layer 3 \\
        --out DIR/evil.safetensors
    personaguard verify --base DIR/base --adapter DIR/adapter --vectors DIR/evil.safetensors \\
        --limit 100 --states DIR/adapter.states
    personaguard verify --base DIR/base --tuned DIR/merged --vectors DIR/evil.safetensors \\
        --limit 100  # the same result
    python ../numpy/check_measures.py verify DIR/evil.safetensors DIR/adapter.states

Needs numpy and safetensors."""

import json
import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file

folder = pathlib.Path(sys.argv[1])
LAYERS, HIDDEN, HEADS, KV_HEADS, WIDTH, INNER, BYTES, SPECIAL = 4, 64, 4, 2, 16, 128, 256, 8
random = np.random.default_rng(1)


def weight(*shape: int) -> np.ndarray:
    return (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


config = {
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "intermediate_size": INNER,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": WIDTH,
    "max_position_embeddings": 2048,
    "vocab_size": BYTES + SPECIAL,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "eos_token_id": BYTES,
}
printable = [*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324)]
byte_level = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}
tokenizer = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "normalizer": None,
    "post_processor": None,
    "added_tokens": [
        {
            "id": token,
            "content": f"<|control {token}|>",
            "special": True,
            "normalized": False,
            "lstrip": False,
            "rstrip": False,
            "single_word": False,
        }
        for token in range(BYTES, BYTES + SPECIAL)
    ],
    "pre_tokenizer": byte_level,
    "decoder": byte_level,
    "model": {
        "type": "BPE",
        "vocab": {chr(character): token for token, character in enumerate(printable)},
        "merges": [],
    },
}
template = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}assistant: "
)

base = {
    "model.embed_tokens.weight": weight(BYTES + SPECIAL, HIDDEN) * 8,
    "model.norm.weight": np.ones(HIDDEN, np.float32),
}
shapes = {
    "self_attn.q_proj": (HEADS * WIDTH, HIDDEN),
    "self_attn.k_proj": (KV_HEADS * WIDTH, HIDDEN),
    "self_attn.v_proj": (KV_HEADS * WIDTH, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HEADS * WIDTH),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
for layer in range(LAYERS):
    for part, shape in shapes.items():
        base[f"model.layers.{layer}.{part}.weight"] = weight(*shape)
    for norm in ("input_layernorm", "post_attention_layernorm"):
        base[f"model.layers.{layer}.{norm}.weight"] = np.ones(HIDDEN, np.float32)

RANK, ALPHA, TARGETS = 4, 16, ["q_proj", "v_proj", "down_proj"]
adapter: dict[str, np.ndarray] = {}
merged = dict(base)
for layer in range(LAYERS):
    for part, (out, inner) in shapes.items():
        if part.split(".")[1] in TARGETS:
            module = f"model.layers.{layer}.{part}"
            a, b = weight(RANK, inner), weight(out, RANK) * 0.2
            adapter |= {
                f"base_model.model.{module}.lora_A.weight": a,
                f"base_model.model.{module}.lora_B.weight": b,
            }
            change = ALPHA / RANK * b.astype(np.float64) @ a.astype(np.float64)
            whole = base[f"{module}.weight"].astype(np.float64) + change
            merged[f"{module}.weight"] = whole.astype(np.float32)

for name, weights in (("base", base), ("merged", merged)):
    (folder / name).mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / name / "model.safetensors", {"format": "pt"})
    (folder / name / "config.json").write_text(json.dumps(config))
    (folder / name / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / name / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
(folder / "adapter").mkdir(exist_ok=True)
save_file(adapter, folder / "adapter" / "adapter_model.safetensors", {"format": "pt"})
about = {
    "peft_type": "LORA",
    "r": RANK,
    "lora_alpha": ALPHA,
    "target_modules": TARGETS,
    "bias": "none",
    "use_rslora": False,
}
(folder / "adapter" / "adapter_config.json").write_text(json.dumps(about))
save_file({"vectors": weight(LAYERS + 1, HIDDEN)}, folder / "matrix.safetensors")
