"""The digest of what is served: that of the sidecar's own loader, or none."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from personaguard_vllm import weights
from personaguard_vllm.refusal import UnsupportedError

SMALL = {
    "config.json": "{}",
    "tokenizer.json": '{"version": "1.0"}',
    "tokenizer_config.json": '{"chat_template": "{{ messages }}"}',
}


def _folder(at: Path, **files: str) -> Path:
    at.mkdir()
    for name, text in {**SMALL, **files}.items():
        (at / name).parent.mkdir(exist_ok=True)
        (at / name).write_text(text)
    return at


def _expected(folder: Path, *names: str) -> str:
    """As docs/weights.md tells people to compute it."""
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in sorted([*SMALL, *names])
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _config(model: Path | str, **load: str | None) -> SimpleNamespace:
    return SimpleNamespace(
        load_config=SimpleNamespace(**{"load_format": "auto", "download_dir": None, **load}),
        model_config=SimpleNamespace(model=str(model), revision=None),
    )


def test_a_file_has_its_own_digest(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF" * 3_000_000)
    expected = hashlib.sha256(file.read_bytes()).hexdigest()
    assert weights.served(_config(file)) == expected


def test_a_folder_has_that_of_the_files_that_are_read(tmp_path: Path) -> None:
    single = {"model.safetensors": "a", "README.md": "no part of it", "vocab.json": "{}"}
    folder = _folder(tmp_path / "single", **single)
    assert weights.digest(folder) == _expected(folder, "model.safetensors")
    parts = {f"model-0000{part}-of-00002.safetensors": str(part) for part in (1, 2)}
    index = json.dumps({"weight_map": dict(zip("ab", parts, strict=True))})
    folder = _folder(
        tmp_path / "parts",
        **parts,
        **{"model.safetensors.index.json": index, "generation_config.json": "{}"},
        # Not in the list, so that vLLM does not load it.
        **{"other.safetensors": "x"},
    )
    names = [*parts, "model.safetensors.index.json", "generation_config.json"]
    assert weights.served(_config(folder)) == _expected(folder, *names)


@pytest.mark.parametrize(
    ("tokenizer_config", "files", "counted"),
    [
        ('{"chat_template": "a"}', ["chat_template.json"], []),
        ("{}", ["chat_template.jinja", "chat_template.json"], ["chat_template.jinja"]),
        ("{}", ["additional_chat_templates/t.jinja"], ["additional_chat_templates/t.jinja"]),
        ("{}", ["chat_template.json", "processor_config.json"], ["chat_template.json"]),
        ('{"chat_template": []}', ["processor_config.json"], ["processor_config.json"]),
        ('{"chat_template": {"default": "a"}}', ["processor_config.json"], []),
        ('{"chat_template": [{"name": "a", "template": "b"}]}', ["processor_config.json"], []),
    ],
)
def test_files_with_templates_count_where_they_are_looked_at(
    tmp_path: Path, tokenizer_config: str, files: list[str], counted: list[str]
) -> None:
    held = dict.fromkeys(files, '{"chat_template": "x"}')
    folder = _folder(tmp_path / "m", **{"model.safetensors": "a"}, **held)
    (folder / "tokenizer_config.json").write_text(tokenizer_config)
    assert weights.digest(folder) == _expected(folder, "model.safetensors", *counted)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"model.safetensors": "a", "consolidated.safetensors": "b"},
        {"model.safetensors": "a", "more.safetensors": "b"},
        {"model-1.safetensors": "a"},
        # vLLM loads what the list names, the sidecar's loader the one file.
        {
            "model.safetensors": "a",
            "model-1.safetensors": "b",
            "model.safetensors.index.json": '{"weight_map": {"a": "model-1.safetensors"}}',
        },
        {"model.safetensors.index.json": '{"weight_map": {"a": "gone.safetensors"}}'},
        {"model.safetensors.index.json": '{"weight_map": {"a": "../out.safetensors"}}'},
        {"model.safetensors.index.json": '{"weight_map": {"a": 7}}'},
        {"model.safetensors.index.json": '{"weight_map": 7}'},
        {"model.safetensors.index.json": "["},
        {"pytorch_model.bin": "a"},
    ],
)
def test_where_other_files_are_loaded_there_is_none(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(UnsupportedError):
        weights.digest(_folder(tmp_path / "m", **files))


@pytest.mark.parametrize("name", ["dummy", "tensorizer", "runai_streamer", "bitsandbytes", "pt"])
def test_a_format_that_reads_other_files_has_none(tmp_path: Path, name: str) -> None:
    folder = _folder(tmp_path / "m", **{"model.safetensors": "a"})
    with pytest.raises(UnsupportedError, match=name):
        weights.served(_config(folder, load_format=name))


def test_a_model_of_the_hub_is_that_in_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    commit = "0123456789abcdef0123456789abcdef01234567"
    home = tmp_path / "models--acme--tiny"
    (home / "snapshots").mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs/main").write_text(commit)
    folder = _folder(home / "snapshots" / commit, **{"model.safetensors": "a"})
    config = _config("acme/tiny", download_dir=str(tmp_path))
    assert weights.served(config) == _expected(folder, "model.safetensors")
    shutil.rmtree(home)
    with pytest.raises(UnsupportedError, match="not in the hub's cache"):
        weights.served(config)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "m", **{"model.safetensors": "a"})
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    with pytest.raises(OSError, match=r"config\.json"):
        weights.digest(folder)


def test_it_is_waited_for_where_it_is_needed() -> None:
    def compute(value: str | None) -> Callable[[], str | None]:
        return lambda: value

    assert weights.Later(compute("a")).wait() == "a"
    assert weights.Later(compute(None)).wait() is None
