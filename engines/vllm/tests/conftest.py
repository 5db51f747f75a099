"""The stock engine with the plugin, started once for all tests that need it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MODEL = "PERSONAGUARD_TEST_MODEL"
# The model's graph is compiled, and on a GPU captured: minutes at each start on processors.
COMPILED = "PERSONAGUARD_TEST_COMPILED"
LAYERS = (15, 21)
SLOTS = 8

# Before vLLM and Triton are imported: they read these once.
if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"
os.environ.update(
    HF_HUB_OFFLINE="1",
    VLLM_CPU_KVCACHE_SPACE="1",
    VLLM_ENABLE_V1_MULTIPROCESSING="0",
    VLLM_LOGGING_LEVEL="WARNING",
    VLLM_NO_USAGE_STATS="1",
)


@dataclass
class Engine:
    """The engine, the folder of its model, and the sidecar that it is connected to."""

    llm: Any
    model: Path
    sidecar: Any


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 as a hub folder."""
    folder = os.environ.get(f"{MODEL}_FOLDER")
    if folder and (Path(folder) / "config.json").is_file():
        return Path(folder)
    source = os.environ.get(MODEL, "")
    if not source:
        pytest.skip(f"{MODEL} does not name SmolLM2's GGUF file; cargo xtask test vllm does")
    from smollm2 import convert

    target = Path(folder) if folder else tmp_path_factory.mktemp("model") / "smollm2"
    convert(Path(source), target)
    return target


@pytest.fixture(scope="session")
def engine(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine in this process, with chunks of 64 tokens and room for few of them."""
    path = tmp_path_factory.mktemp("socket") / "engine.sock"
    os.environ["PERSONAGUARD_STATES"] = "1"
    started = start(
        model_folder,
        path,
        dtype="float32",
        enforce_eager=not os.environ.get(COMPILED),
        skip_tokenizer_init=not (model_folder / "tokenizer.json").is_file(),
        num_gpu_blocks_override=32,
        disable_log_stats=False,
    )
    # Other engines of these tests do without.
    del os.environ["PERSONAGUARD_STATES"]
    yield started


def start(model: Path, socket: Path, **options: Any) -> Engine:
    """An engine beside those that were started before; its core is in this process."""
    from vllm import LLM

    from sidecar import Sidecar

    sidecar = Sidecar(socket)
    os.environ["PERSONAGUARD_SOCKET"] = str(socket)
    os.environ["PERSONAGUARD_LAYERS"] = ",".join(map(str, LAYERS))
    settings: dict[str, Any] = {
        "enable_prefix_caching": True,
        "enable_chunked_prefill": True,
        "max_model_len": 512,
        "max_num_batched_tokens": 64,
        "max_num_seqs": 24,
        "block_size": 32,
    }
    llm = LLM(str(model), **(settings | options))
    sidecar.wait(lambda: sidecar.hello != {})
    return Engine(llm, model, sidecar)
