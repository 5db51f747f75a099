"""One known prompt, measured in every worker before requests come.

It shows that each tapped layer is measured, on the path that requests take; and its projections
tell other weights, another quantisation or another order of layers from those that were expected.
"""

import math
import struct
from typing import Any

from vllm import SamplingParams
from vllm.v1.core.sched.output import NewRequestData, SchedulerOutput

from personaguard_vllm.frames import Part
from personaguard_vllm.guard import Guard
from personaguard_vllm.plan import MAX_SLOTS, Plan
from personaguard_vllm.refusal import UnsupportedError
from personaguard_vllm.settings import Settings
from personaguard_vllm.steps import New
from personaguard_vllm.vectors import Vector, VectorSet

TOKENS = 16
_REQUEST = "personaguard-known-prompt"


def known_prompt(vocabulary: int) -> list[int]:
    """Token ids spread over the vocabulary, the same for every tokenizer of that size."""
    return [(7919 * number + 13) % vocabulary for number in range(TOKENS)]


def known_vector(layer: int, hidden: int) -> Vector:
    """A direction that no model favours."""
    values = (math.cos(0.7 * index + layer) for index in range(hidden))
    return Vector(layer, struct.pack(f"<{hidden}f", *values))


def measure(worker: Any, config: Any, guard: Guard) -> dict[int, float]:
    """The projections at the prompt's last token, by layer."""
    hidden = config.model_config.get_hidden_size()
    measured: dict[int, float] = {}
    for start in range(0, len(guard.layers), MAX_SLOTS):
        layers = guard.layers[start : start + MAX_SLOTS]
        used = VectorSet(0, tuple(known_vector(layer, hidden) for layer in layers))
        measured.update(zip(layers, _run(worker, config, guard, used), strict=True))
    return measured


def _run(worker: Any, config: Any, guard: Guard, used: VectorSet) -> list[float]:
    prompt = known_prompt(config.model_config.get_vocab_size())
    seen: list[Part] = []
    own = New(_REQUEST, len(prompt), None, None)
    guard.requests.track(own, Plan(_REQUEST, used.number, ()), used)
    guard.watch(seen.extend)
    try:
        worker.execute_model(_beginning(prompt, worker.model_runner.kv_cache_config))
        worker.sample_tokens(None)
    finally:
        guard.watch(None)
        ending = SchedulerOutput.make_empty()
        ending.finished_req_ids = {_REQUEST}
        worker.execute_model(ending)
    if len(seen) != 1:
        raise UnsupportedError(f"the known prompt was told {len(seen)} times, not once; report it")
    return [float(value) for value in seen[0].readings[-1]]


def _beginning(prompt: list[int], cache: Any) -> SchedulerOutput:
    """A step that computes the whole prompt, in blocks of the cache that nobody has yet."""
    blocks, following = [], 1
    for group in cache.kv_cache_groups:
        count = -(-(len(prompt) + 1) // group.kv_cache_spec.block_size)
        blocks.append(list(range(following, following + count)))
        following += count
    step = SchedulerOutput.make_empty()
    step.scheduled_new_reqs = [
        NewRequestData(
            req_id=_REQUEST,
            prompt_token_ids=prompt,
            mm_features=[],
            sampling_params=SamplingParams(max_tokens=1, temperature=0.0),
            pooling_params=None,
            block_ids=tuple(blocks),
            num_computed_tokens=0,
            lora_request=None,
            prefill_token_ids=prompt,
        )
    ]
    step.num_scheduled_tokens = {_REQUEST: len(prompt)}
    step.total_num_scheduled_tokens = len(prompt)
    step.num_common_prefix_blocks = [0] * len(cache.kv_cache_groups)
    return step


def check(measured: dict[int, float], settings: Settings) -> None:
    """Compares with what was expected.

    Raises:
        UnsupportedError: a layer was not measured, or is not as expected.
    """
    for layer, value in measured.items():
        if not math.isfinite(value) or value == 0:
            raise UnsupportedError(
                f"layer {layer} was not measured in the known prompt ({value}): its taps do not "
                "work in this engine; report it with its options"
            )
    for layer, expected in settings.expected.items():
        value = measured.get(layer, math.nan)
        if not abs(value - expected) <= settings.tolerance * abs(expected):
            raise UnsupportedError(
                f"layer {layer} measures {value:.6g} in the known prompt, and {expected:.6g} is "
                "expected: other weights are served than those that the vectors were made on"
            )
