"""Compiles the kernels for NVIDIA GPUs, which needs none: Triton brings the assembler.

In a process of its own, since Triton decides once whether it interprets or compiles.
"""

import sys
from typing import Any

import triton
from personaguard_vllm import fused
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

_TYPES = {
    "hidden": "*bf16",
    "rest": "*bf16",
    "layers": "*i64",
    "owners": "*i64",
    "flags": "*i64",
    "layer": "i32",
    "nobody": "i32",
    "tokens": "i32",
    "width": "i32",
    "hidden_stride": "i32",
    "rest_stride": "i32",
}
_CONSTANTS = {"COLUMNS": 32, "CHANGES": 16, "BLOCK": 512, "HAS_REST": True}


def main() -> None:
    for capability in (80, 90, 100):
        for kernel in (fused._read, fused._change, fused._remember):
            made: Any = kernel
            constants = {name: _CONSTANTS[name] for name in made.arg_names if name in _CONSTANTS}
            signature = {
                name: "constexpr" if name in constants else _TYPES.get(name, "*fp32")
                for name in made.arg_names
            }
            source = ASTSource(fn=made, signature=signature, constexprs=constants)
            target = GPUTarget("cuda", capability, 32)
            done = triton.compile(source, target=target, options={"num_warps": 8})
            sys.stdout.write(f"{made.__name__} {capability} {len(done.asm['cubin'])}\n")


if __name__ == "__main__":
    main()
