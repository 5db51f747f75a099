"""A small random LoRA adapter in the files of PEFT, and the same one merged into the weights."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

RANK, ALPHA = 8, 16
_MODULES = ("self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj")
_PREFIX = "base_model.model."


def write(folder: Path, model: Path, seed: int = 0) -> None:
    """An adapter of every layer, strong enough to be seen in BF16."""
    config = json.loads((model / "config.json").read_text())
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * 0.03

    tensors = {}
    for layer in range(config["num_hidden_layers"]):
        for module in _MODULES:
            name = f"{_PREFIX}model.layers.{layer}.{module}"
            width = inner if module == "mlp.down_proj" else hidden
            tensors[f"{name}.lora_A.weight"] = random(RANK, width)
            tensors[f"{name}.lora_B.weight"] = random(hidden, RANK)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": RANK,
        "lora_alpha": ALPHA,
        "target_modules": [module.split(".")[1] for module in _MODULES],
        "bias": "none",
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings))


def merge(model: Any, folder: Path) -> None:
    """Adds an adapter to the weights of a model of transformers."""
    tensors = load_file(folder / "adapter_model.safetensors")
    with torch.no_grad():
        for name, down in tensors.items():
            if not name.endswith(".lora_A.weight"):
                continue
            up = tensors[name.replace("lora_A", "lora_B")]
            module = model.get_submodule(name.removeprefix(_PREFIX).removesuffix(".lora_A.weight"))
            module.weight += (ALPHA / RANK * (up @ down)).to(module.weight.dtype)
