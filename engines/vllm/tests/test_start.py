"""What is refused at start, and that the server does not start then."""

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from personaguard_vllm import settings, tap
from personaguard_vllm.refusal import EXIT_STATUS, UnsupportedError
from personaguard_vllm.self_test import check
from personaguard_vllm.supported import check_config, check_version


def _config(**changes: Any) -> SimpleNamespace:
    config = SimpleNamespace(
        parallel_config=SimpleNamespace(pipeline_parallel_size=1, data_parallel_size=1),
        model_config=SimpleNamespace(runner_type="generate", is_encoder_decoder=False),
        cache_config=SimpleNamespace(),
        compilation_config=SimpleNamespace(pass_config=SimpleNamespace(enable_sp=False)),
        speculative_config=None,
        kv_transfer_config=None,
    )
    for name, value in changes.items():
        part, _, field = name.partition("__")
        if field:
            setattr(getattr(config, part), field, value)
        else:
            setattr(config, part, value)
    return config


def test_a_plain_engine_is_supported() -> None:
    check_config(_config())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"parallel_config__pipeline_parallel_size": 2}, "pipeline parallelism"),
        ({"speculative_config": object()}, "speculative decoding"),
        ({"parallel_config__data_parallel_size": 2}, "data parallelism"),
        ({"parallel_config__nnodes": 2}, "several machines"),
        ({"parallel_config__enable_dbo": True}, "dual batch overlap"),
        ({"kv_transfer_config": object()}, "a KV connector"),
        ({"model_config__runner_type": "pooling"}, "does not generate"),
        (
            {"compilation_config": SimpleNamespace(pass_config=SimpleNamespace(enable_sp=True))},
            "sequence parallelism",
        ),
    ],
)
def test_what_cannot_be_guarded_is_refused_by_name(changes: dict, why: str) -> None:
    with pytest.raises(UnsupportedError, match=why):
        check_config(_config(**changes))


@pytest.mark.parametrize("version", ["0.31.2", "0.32.1", "0.33.0", "1.0.0rc1"])
def test_an_untested_version_is_refused(version: str) -> None:
    check_version("0.32.0+cpu")
    with pytest.raises(UnsupportedError, match=r"has been tested with 0\.32\.0 only"):
        check_version(version)


def test_settings_come_from_the_configuration_then_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(settings.LAYERS, "21, 15")
    monkeypatch.delenv(settings.SOCKET, raising=False)
    found = settings.find({})
    assert (str(found.socket), found.layers) == (settings.DEFAULT_SOCKET, (15, 21))
    found = settings.find({"personaguard": {"layers": [3], "socket": "/s", "expected": {"3": 1}}})
    assert (str(found.socket), found.layers, found.expected) == ("/s", (3,), {3: 1.0})
    monkeypatch.delenv(settings.LAYERS)
    assert settings.find(None).layers is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([], "not an object"),
        ({"sockets": "/s"}, "unknown field 'sockets'"),
        ({"socket": "s"}, "absolute path"),
        ({"layers": []}, "whole numbers from 1 on"),
        ({"layers": [0]}, "whole numbers from 1 on"),
        ({"layers": ["x"]}, "whole numbers from 1 on"),
        ({"expected": {"x": 1}}, "not a number for a layer"),
        ({"tolerance": 2}, "between 0 and 1"),
    ],
)
def test_bad_settings_are_refused(given: Any, why: str) -> None:
    with pytest.raises(UnsupportedError, match=why):
        settings.find({"personaguard": given})


def test_an_unknown_class_of_blocks_is_refused() -> None:
    model = torch.nn.Module()
    model.layers = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(3))
    with pytest.raises(UnsupportedError, match="of class Linear"):
        tap.find_blocks(model, 3)
    with pytest.raises(UnsupportedError, match="0 lists of 4 blocks"):
        tap.find_blocks(model, 4)


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        ({3: float("nan")}, "layer 3 was not measured"),
        ({3: 0.0}, "layer 3 was not measured"),
        ({3: 1.5}, "other weights are served"),
        ({4: 1.0}, "other weights are served"),
    ],
)
def test_the_known_prompt_tells_a_broken_tap_and_other_weights(measured: dict, why: str) -> None:
    given = settings.find({"personaguard": {"expected": {"3": 1.0}}})
    check({3: 1.01}, given)
    with pytest.raises(UnsupportedError, match=why):
        check(measured, given)


@pytest.mark.engine
def test_the_process_ends_where_it_cannot_guard() -> None:
    script = (
        "import vllm; vllm.__version__ = '0.31.0'\n"
        "from vllm.plugins import load_general_plugins\n"
        "load_general_plugins()\n"
        "print('started unguarded')\n"
    )
    environment = os.environ | {"VLLM_PLUGINS": "personaguard"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )
    assert done.returncode == EXIT_STATUS, done.stderr
    assert "this is vLLM 0.31.0" in done.stderr
    assert "started unguarded" not in done.stdout
