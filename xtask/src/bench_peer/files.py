"""Makes the other files that both engines are measured on: other quantisations, other inner
dimensions.

files.py SMOLLM2 FOLDER: writes what is missing and prints each file's path. The length of SmolLM2's
rows is no multiple of 256, so llama.cpp's Q4_K_M of it falls back to Q5_0 and Q8_0. The rows of
`random`, a llama of 8 blocks with SmolLM2's vocabulary, are a multiple of 256.
"""

import ctypes
import pathlib
import sys

import gguf
import llama_cpp as l
import numpy as np

WIDTH, FEED_FORWARD, BLOCKS, HEADS, KV_HEADS, CONTEXT = 2048, 5632, 8, 32, 8, 8192
KINDS = {"Q4_K_M": l.LLAMA_FTYPE_MOSTLY_Q4_K_M, "Q8_0": l.LLAMA_FTYPE_MOSTLY_Q8_0}

smollm2, folder = map(pathlib.Path, sys.argv[1:])
silence = l.llama_log_callback(lambda *_: None)
l.llama_log_set(silence, ctypes.c_void_p(0))
l.llama_backend_init()


def random_llama(path: pathlib.Path) -> None:
    source = gguf.GGUFReader(smollm2)
    partial = path.with_name(f"{path.name}.partial")
    writer = gguf.GGUFWriter(partial, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    for field in source.fields.values():
        if field.name.startswith("tokenizer."):
            element = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=element)
    vocabulary = len(source.fields["tokenizer.ggml.tokens"].data)
    numbers = np.random.default_rng(1)

    def add(name: str, *shape: int) -> None:
        values = (
            numbers.standard_normal(shape, dtype=np.float32) * shape[-1] ** -0.5
            if len(shape) > 1
            else np.ones(shape, np.float32)
        )
        writer.add_tensor(name, values.astype(np.float16) if len(shape) > 1 else values)

    key_value = WIDTH // HEADS * KV_HEADS
    for name in "token_embd", "output":
        add(f"{name}.weight", vocabulary, WIDTH)
    add("output_norm.weight", WIDTH)
    for block in range(BLOCKS):
        for name, *shape in (
            ("attn_norm", WIDTH),
            ("ffn_norm", WIDTH),
            ("attn_q", WIDTH, WIDTH),
            ("attn_k", key_value, WIDTH),
            ("attn_v", key_value, WIDTH),
            ("attn_output", WIDTH, WIDTH),
            ("ffn_gate", FEED_FORWARD, WIDTH),
            ("ffn_up", FEED_FORWARD, WIDTH),
            ("ffn_down", WIDTH, FEED_FORWARD),
        ):
            add(f"blk.{block}.{name}.weight", *shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.rename(path)


def quantise(source: pathlib.Path, path: pathlib.Path, kind: int) -> None:
    params = l.llama_model_quantize_default_params()
    params.ftype = kind
    params.allow_requantize = True
    partial = path.with_name(f"{path.name}.partial")
    assert l.llama_model_quantize(bytes(source), bytes(partial), ctypes.byref(params)) == 0, path
    partial.rename(path)


full = folder / "random.F16.gguf"
for name in "SmolLM2", "random":
    for kind, number in KINDS.items():
        path = folder / f"{name}.{kind}.gguf"
        if not path.exists():
            if name == "random" and not full.exists():
                random_llama(full)
            quantise(smollm2 if name == "SmolLM2" else full, path, number)
        print(path)
full.unlink(missing_ok=True)
