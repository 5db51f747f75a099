"""The plugin as the sidecar's program writes it: found by `PYTHONPATH`, without an installation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "PERSONAGUARD_TEST_PROGRAM"
# What vLLM does with the entry points of its group, but for calling them.
FIND = """
import importlib.metadata, json
found = importlib.metadata.entry_points(group="vllm.general_plugins")
ours = [entry for entry in found if entry.name == "personaguard"]
called = [entry.load() for entry in ours]
print(json.dumps({
    "files": [function.__code__.co_filename for function in called],
    "versions": [entry.dist.version for entry in ours],
    "names": [entry.dist.name for entry in ours],
    "own": [function.__globals__["__version__"] for function in called],
}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    program = os.environ.get(PROGRAM, "")
    if not program:
        pytest.skip(f"{PROGRAM} does not name the sidecar's program; cargo xtask test does")
    target = tmp_path / "plugin"
    made = subprocess.run([program, "plugin", "--out", str(target)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert made.stdout == f"Start vLLM with PYTHONPATH={target}\n"
    return target


@pytest.mark.parametrize("isolated", [[], ["-S"]], ids=["beside a wheel", "alone"])
def test_its_entry_point_is_found_and_is_that_of_the_folder(
    folder: Path, isolated: list[str], tmp_path: Path
) -> None:
    # As in a pod: only to be read, and with a current folder that has nothing to do with it.
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    found = subprocess.run(
        [sys.executable, *isolated, "-c", FIND],
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    said = json.loads(found.stdout)
    assert said["files"] == [str(folder / "personaguard_vllm/__init__.py")]
    assert said["names"] == ["personaguard-vllm"]
    assert said["versions"] == said["own"]


def test_it_has_the_files_of_the_wheel(folder: Path) -> None:
    source = Path(__file__).parents[1] / "src"
    kept = [path for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    wanted = {path.relative_to(source): path.read_bytes() for path in kept}
    written = [path for path in folder.rglob("*") if path.is_file()]
    for path in written:
        name = path.relative_to(folder)
        if not name.parts[0].endswith(".dist-info"):
            assert wanted.pop(name) == path.read_bytes()
    assert not [name for name in wanted if not name.parts[0].endswith(".egg-info")]
