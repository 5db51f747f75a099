"""Which weights the engine serves: the digest by which the sidecar, and vectors, know a model.

It is that of Personaguard's own loader. A file's digest is its SHA-256; a folder's is that of what
`sha256sum` prints for the files that make up the model, in byte order of their names. Where vLLM
would load other files of the folder than these, there is no digest: it would speak of weights that
are not served.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from personaguard_vllm.refusal import UnsupportedError

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_TEMPLATES = "additional_chat_templates"
# vLLM's names for how it loads safetensors and GGUF files as they are.
_FORMATS = {"auto", "hf", "safetensors", "fastsafetensors", "instanttensor", "gguf"}
_MAX_FILES = 1 << 12
_MAX_THREADS = 16
_CHUNK = 4 << 20


def served(config: Any) -> str:
    """The digest of what an engine with this `VllmConfig` has loaded.

    Raises:
        UnsupportedError: nobody can tell what that is.
        OSError: a file cannot be read.
    """
    load, model = config.load_config, config.model_config
    name = str(getattr(load.load_format, "value", load.load_format))
    if name not in _FORMATS:
        raise UnsupportedError(f"with --load-format {name} the weights are not files of the model")
    return digest(_place(str(model.model), model.revision, load.download_dir))


def digest(path: Path) -> str:
    """The digest of a GGUF file, or of a folder in the layout of model hubs.

    Raises:
        UnsupportedError: vLLM would load other files than the digest is made of.
        OSError: a file cannot be read.
    """
    if path.is_file():
        return _digests([path])[path]
    names = sorted(_files(path), key=os.fsencode)
    digests = _digests([path / name for name in names])
    lines = "".join(f"{digests[path / name]}  {name}\n" for name in names)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _place(name: str, revision: str | None, cache: str | None) -> Path:
    """Where a model lies: it was loaded, so that it is on this machine."""
    if Path(name).exists():
        return Path(name)
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(name, revision=revision, cache_dir=cache, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UnsupportedError(f"{name} is no folder, and not in the hub's cache") from error
    return Path(found)


def _files(folder: Path) -> set[str]:
    """Names of the files that make up the model in a folder."""
    shards, index = _shards(folder)
    names = shards | index
    required = {"config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"}
    names |= {name for name in required if (folder / name).exists()}
    return names | _template_files(folder)


def _shards(folder: Path) -> tuple[set[str], set[str]]:
    """The files with weights, and the one that lists them where it is needed."""
    present = {file.name for file in folder.glob("*.safetensors")}
    if any(name.startswith("consolidated") for name in present):
        raise UnsupportedError(f"of {folder}, vLLM loads consolidated*.safetensors")
    weight_map = _json(folder / _INDEX).get("weight_map")
    listed = set(weight_map.values()) if isinstance(weight_map, dict) else set()
    if not all(_is_plain(name) for name in listed) or len(listed) > _MAX_FILES:
        raise UnsupportedError(f"{folder}/{_INDEX} names no files of that folder")
    # What vLLM loads: those that the list names, or all where there is no list.
    loaded = listed & present if listed else present
    if _SINGLE in present:
        shards, index = {_SINGLE}, set()
    else:
        shards, index = listed, {_INDEX}
    if not shards or loaded != shards:
        raise UnsupportedError(
            f"{folder} holds other files with weights than {_SINGLE}, or than {_INDEX} names"
        )
    return shards, index


def _is_plain(name: Any) -> bool:
    """Whether it names a file of the folder itself."""
    plain = isinstance(name, str) and name.endswith(".safetensors")
    return plain and "/" not in name and "\\" not in name


def _template_files(folder: Path) -> set[str]:
    """The files of the first place that has a chat template, and those looked at before it."""
    names = {"chat_template.jinja"} if (folder / "chat_template.jinja").exists() else set()
    names |= {f"{_TEMPLATES}/{file.name}" for file in (folder / _TEMPLATES).glob("*.jinja")}
    if names or _lists(_json(folder / "tokenizer_config.json").get("chat_template")):
        return names
    for name in ("chat_template.json", "processor_config.json"):
        if (folder / name).exists():
            names.add(name)
            if _lists(_json(folder / name).get("chat_template")):
                break
    return names


def _lists(templates: Any) -> bool:
    """Whether there is a template in a `chat_template`: a text, or several with names."""
    if isinstance(templates, list):
        named = [entry for entry in templates if isinstance(entry, dict)]
        return any(_has_text(entry, "name") and _has_text(entry, "template") for entry in named)
    if isinstance(templates, dict):
        return any(isinstance(template, str) for template in templates.values())
    return isinstance(templates, str)


def _has_text(entry: dict[str, Any], key: str) -> bool:
    return isinstance(entry.get(key), str)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UnsupportedError(f"{path} is not JSON") from error
    return value if isinstance(value, dict) else {}


def _digests(paths: Iterable[Path]) -> dict[Path, str]:
    """SHA-256 of each file, several at once. Threads that do not keep a process from ending."""
    waiting = sorted(paths, key=lambda path: path.stat().st_size)
    done: dict[Path, str] = {}
    errors: list[OSError] = []

    def work() -> None:
        try:
            while waiting:
                path = waiting.pop()
                done[path] = _sha256(path)
        except IndexError:
            pass  # Another thread took the last one.
        except OSError as error:
            errors.append(error)

    count = min(len(waiting), os.cpu_count() or 1, _MAX_THREADS)
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return done


def _sha256(path: Path) -> str:
    found, buffer = hashlib.sha256(), bytearray(_CHUNK)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            found.update(memoryview(buffer)[:count])
    return found.hexdigest()


class Later:
    """A digest that is computed beside the engine's start, since it reads the whole model."""

    def __init__(self, compute: Callable[[], str | None]) -> None:
        self._compute = compute
        self._found: str | None = None
        self._thread = threading.Thread(target=self._run, name="personaguard-digest", daemon=True)
        self._thread.start()

    def wait(self) -> str | None:
        """The digest; `None` where there is none."""
        self._thread.join()
        return self._found

    def _run(self) -> None:
        self._found = self._compute()
