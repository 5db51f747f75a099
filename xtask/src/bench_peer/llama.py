"""Measures llama.cpp as `personaguard bench --json` measures the engine: the same prompts, sizes
and streams.

llama.py MODEL THREADS RESPONSE PROMPT STREAMS: prints one JSON object, speeds in tokens per second.
"""

import ctypes
import json
import resource
import sys
import time
from typing import Any

import llama_cpp as l


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


path, threads, response, prompt, streams = sys.argv[1], *map(int, sys.argv[2:6])
before = peak_mib()
silence = l.llama_log_callback(lambda *_: None)
l.llama_log_set(silence, ctypes.c_void_p(0))
l.llama_backend_init()
started = time.perf_counter()
model_params = l.llama_model_default_params()
model_params.n_gpu_layers = 0
model = l.llama_model_load_from_file(path.encode(), model_params)
params = l.llama_context_default_params()
params.n_ctx = max(streams * (prompt + response + 32), 4096)
params.n_seq_max = streams
params.n_batch = 2048
params.n_ubatch = 512
params.n_threads = params.n_threads_batch = threads
params.kv_unified = True
context = l.llama_init_from_model(model, params)
load = time.perf_counter() - started
vocabulary = l.llama_vocab_n_tokens(l.llama_model_get_vocab(model))
batch = l.llama_batch_init(2048, 0, streams)
salt = 0


def tokens(count: int) -> list[int]:
    global salt
    salt += 1
    return [(index * 7919 + salt * 104729) % vocabulary for index in range(count)]


def feed(rows: list[tuple[int, int, int, bool]]) -> None:
    """Each row is (token, position, sequence, whether logits are wanted)."""
    batch.n_tokens = len(rows)
    for index, (token, position, sequence, wanted) in enumerate(rows):
        batch.token[index], batch.pos[index] = token, position
        batch.n_seq_id[index], batch.seq_id[index][0] = 1, sequence
        batch.logits[index] = wanted
    assert l.llama_decode(context, batch) == 0


def clear() -> None:
    l.llama_memory_clear(l.llama_get_memory(context), True)


def sample_all(sampler: Any, count: int) -> list[int]:
    return [l.llama_sampler_sample(sampler, context, index) for index in range(count)]


def read(count: int, sequence: int = 0) -> None:
    rows = [
        (token, position, sequence, position == count - 1)
        for position, token in enumerate(tokens(count))
    ]
    for start in range(0, count, 2048):
        feed(rows[start : start + 2048])


def prefill(count: int) -> float:
    clear()
    started = time.perf_counter()
    read(count)
    l.llama_synchronize(context)
    return count / (time.perf_counter() - started)


sampler = l.llama_sampler_init_greedy()


def respond(count: int, length: int) -> float:
    """Decodes `count` streams together, greedily. Gives tokens per second."""
    clear()
    started = time.perf_counter()
    last = []
    for sequence in range(count):
        read(length, sequence)
        last.append(l.llama_sampler_sample(sampler, context, -1))
    first = time.perf_counter()
    for step in range(response):
        feed([(token, length + step, sequence, True) for sequence, token in enumerate(last)])
        if step + 1 < response:
            last = sample_all(sampler, count)
    end = time.perf_counter()
    return count * response / (end - (first if count == 1 else started))


prefill(256)
result = {
    "load_seconds": load,
    "prefill256": prefill(256),
    "prefill2048": prefill(2048),
    "decode": respond(1, 16),
    "streams": respond(streams, prompt),
    "rss_mib": peak_mib() - before,
}
print(json.dumps(result))
