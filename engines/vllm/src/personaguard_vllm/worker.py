"""The plugin's part in a worker: after the model is loaded, and before requests come."""

import functools
import logging
from typing import Any

import torch
import vllm

import personaguard_vllm
from personaguard_vllm import (
    buffers,
    frames,
    process,
    self_test,
    settings,
    states,
    store,
    supported,
    tap,
    weights,
)
from personaguard_vllm.guard import Guard
from personaguard_vllm.plan import MAX_SLOTS
from personaguard_vllm.refusal import UnsupportedError, stop
from personaguard_vllm.settings import Settings

_LOG = logging.getLogger("vllm.personaguard")


def attach(wrapper: Any) -> None:
    """After the model is loaded: taps it, and follows the worker's steps."""
    try:
        found = settings.find(wrapper.vllm_config.additional_config)
        supported.check_config(wrapper.vllm_config)
        process.set_guard(_make(wrapper, found))
    except UnsupportedError as error:
        stop(str(error))
    except Exception as error:
        _LOG.exception("personaguard: while tapping the model")
        stop(f"this model cannot be tapped: {type(error).__name__}: {error}")


def check_attached(_wrapper: Any) -> None:
    """Before the cache of keys and values is made: that `attach` has been called."""
    if process.guard() is None:
        stop("this vLLM loaded the model without calling the plugin; report it with its version")


def begin(wrapper: Any) -> None:
    """Before requests come: measures the known prompt, and connects to the sidecar."""
    guard = process.guard()
    if guard is None:
        check_attached(wrapper)
        return
    try:
        found = settings.find(wrapper.vllm_config.additional_config)
        measured = self_test.measure(wrapper.worker, wrapper.vllm_config, guard)
        self_test.check(measured, found)
        if wrapper.worker.rank == 0:
            digest = weights.Later(functools.partial(_digest, wrapper.vllm_config))
            hello = {**_hello(wrapper), "states": found.states}
            guard.connect(found.socket, lambda: {**hello, "sha256": digest.wait()})
            _LOG.info("personaguard: guards layers %s", ", ".join(map(str, guard.layers)))
            _LOG.info("personaguard: the known prompt measures %s", measured)
    except UnsupportedError as error:
        stop(str(error))
    except Exception as error:
        _LOG.exception("personaguard: while measuring the known prompt")
        stop(f"the known prompt cannot be measured: {type(error).__name__}: {error}")


def _make(wrapper: Any, found: Settings) -> Guard:
    config, worker = wrapper.vllm_config, wrapper.worker
    runner, model = worker.model_runner, config.model_config
    hidden, count = model.get_hidden_size(), model.hf_text_config.num_hidden_layers
    layers = found.layers or tuple(range(1, count + 1))
    # A request keeps its line until the step after its last.
    requests = 2 * config.scheduler_config.max_num_seqs
    tokens = config.scheduler_config.max_num_batched_tokens
    with torch.inference_mode(False):
        shared = buffers.make(count, hidden, requests, tokens, worker.device)
        sums = _make_sums(found, count, hidden, tokens, worker.device)
    tap.attach(tap.find_blocks(runner.get_model(), count), layers, shared, sums)
    _enter_compile_cache_key(config, layers, found.states)
    guard = Guard(
        shared,
        store.Store(store.folder(), hidden, layers),
        layers,
        None if sums is None else states.States(sums),
    )
    if hasattr(runner, "model_state"):
        from personaguard_vllm.v2 import runner as v2

        v2.attach(runner, guard)
    else:
        from personaguard_vllm.v1 import runner as v1

        v1.attach(runner, guard)
    return guard


def _make_sums(
    found: Settings, count: int, hidden: int, tokens: int, device: torch.device
) -> states.StateBuffers | None:
    if not found.states:
        return None
    if not frames.states_fit(count, hidden):
        raise UnsupportedError(
            f"states of {count} layers of {hidden} values do not fit into a message; start it "
            f"without {settings.STATES}"
        )
    return states.make(count, hidden, tokens, device)


def _enter_compile_cache_key(config: Any, layers: tuple[int, ...], sums: bool) -> None:
    """Graphs with other taps are other graphs: vLLM keys its cache by this, among others."""
    known = config.additional_config
    if isinstance(known, dict):
        own = {"personaguard_layers": list(layers), "personaguard_states": sums}
        config.additional_config = {**known, **own}


def _digest(config: Any) -> str | None:
    """Which weights were loaded; the sidecar refuses an engine that cannot tell."""
    try:
        found = weights.served(config)
    except Exception as error:
        _LOG.error("personaguard: nobody can tell which weights are served: %s", error)
        return None
    _LOG.info("personaguard: serves weights with the digest %s", found)
    return found


def _hello(wrapper: Any) -> dict[str, Any]:
    config = wrapper.vllm_config
    model = config.model_config
    served = model.served_model_name
    return {
        "protocol": frames.PROTOCOL,
        "plugin": personaguard_vllm.__version__,
        "vllm": vllm.__version__,
        "runner": "V2" if hasattr(wrapper.worker.model_runner, "model_state") else "V1",
        "model": served[0] if isinstance(served, list) else str(served or model.model),
        "hidden": model.get_hidden_size(),
        "layers": model.hf_text_config.num_hidden_layers,
        "dtype": str(model.dtype).removeprefix("torch."),
        "quantization": model.quantization,
        "lora": config.lora_config is not None,
        "tensor_parallel": config.parallel_config.tensor_parallel_size,
        "slots": MAX_SLOTS,
        "max_rows": config.scheduler_config.max_num_batched_tokens,
        "sync": True,
    }
