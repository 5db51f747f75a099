"""Which engines, models and options the plugin guards. Pure: reads attributes, imports no vLLM."""

from typing import Any

from personaguard_vllm.refusal import UnsupportedError

# The versions that the tests have run with: a plugin reaches into what no version promises.
TESTED = ("0.32.0",)

# Classes of blocks whose `forward` returns the residual stream, or two tensors whose sum it is.
# Each was read; the tests run the first.
BLOCKS = frozenset(
    {
        "LlamaDecoderLayer",
        "MistralDecoderLayer",
        "MixtralDecoderLayer",
        "Qwen2DecoderLayer",
        "Qwen2MoeDecoderLayer",
        "Qwen3DecoderLayer",
        "Qwen3MoeDecoderLayer",
    }
)


def check_version(version: str) -> None:
    """Refuses a vLLM that the plugin has not been tested with."""
    if version.split("+")[0] not in TESTED:
        tested = ", ".join(TESTED)
        raise UnsupportedError(
            f"this is vLLM {version}, and this version of the plugin has been tested "
            f"with {tested} only; use that, or a plugin made for yours"
        )


def check_config(config: Any) -> None:
    """Refuses what the plugin would measure or change wrongly, by the engine's `VllmConfig`."""
    for is_set, what, instead in _unsupported(config):
        if is_set:
            raise UnsupportedError(f"{what} cannot be guarded yet; {instead}")


def _unsupported(config: Any) -> list[tuple[bool, str, str]]:
    parallel, model = config.parallel_config, config.model_config
    passes = getattr(config.compilation_config, "pass_config", None)
    return [
        (
            parallel.pipeline_parallel_size > 1,
            "pipeline parallelism",
            "use --tensor-parallel-size instead of --pipeline-parallel-size",
        ),
        (
            config.speculative_config is not None,
            "speculative decoding",
            "leave out --speculative-config: rejected drafts would be measured too",
        ),
        (
            parallel.data_parallel_size > 1,
            "data parallelism within one server",
            "run several servers, each with its sidecar",
        ),
        (
            getattr(parallel, "nnodes", 1) > 1,
            "an engine on several machines",
            "use one machine: its processes share vectors as files",
        ),
        (
            getattr(parallel, "prefill_context_parallel_size", 1) > 1,
            "context parallelism",
            "leave out --prefill-context-parallel-size",
        ),
        (
            bool(getattr(parallel, "enable_dbo", False)),
            "dual batch overlap",
            "leave out --enable-dbo",
        ),
        (
            bool(getattr(passes, "enable_sp", False)),
            "sequence parallelism",
            "switch off the compilation pass enable_sp",
        ),
        (
            config.kv_transfer_config is not None,
            "a KV connector",
            "leave out --kv-transfer-config: keys and values that were made under steering would "
            "reach requests that are not steered",
        ),
        (
            bool(getattr(config.cache_config, "kv_sharing_fast_prefill", False)),
            "fast prefill by KV sharing",
            "leave out --kv-sharing-fast-prefill",
        ),
        (
            model.runner_type != "generate",
            "a model that does not generate text",
            "serve a chat model",
        ),
        (
            bool(getattr(model, "is_encoder_decoder", False)),
            "an encoder-decoder model",
            "serve a decoder-only model",
        ),
    ]
