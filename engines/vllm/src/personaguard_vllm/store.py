"""Sets of vectors as files, in a folder that all processes of one engine share.

The worker with the socket writes a set; each process reads it when a request first names it. So
all of them know it in the same step, without a message between them at each step.
"""

import atexit
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

from personaguard_vllm.refusal import UnsupportedError
from personaguard_vllm.vectors import SetError, VectorSet, decode

# Inherited by the engine's processes from the first.
VARIABLE = "PERSONAGUARD_STORE"
# The set before holds on for the requests that are on their way when a new one comes.
KEPT = 2
_NAME = re.compile(r"set-\d{1,20}", re.ASCII)


def make() -> None:
    """Makes the folder, in the first process; it goes when that process ends."""
    if VARIABLE in os.environ:
        return
    folder = tempfile.mkdtemp(prefix="personaguard-")
    os.environ[VARIABLE] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def folder() -> Path:
    """The folder.

    Raises:
        UnsupportedError: the process was not started by one that made it.
    """
    path = Path(os.environ.get(VARIABLE, "/nonexistent"))
    try:
        found = path.lstat()
    except OSError as error:
        raise UnsupportedError(
            f"a process of the engine does not have the variable {VARIABLE} of the one that "
            "started it; engines whose processes are started by Ray cannot be guarded yet"
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise UnsupportedError(f"the folder {path} is not this user's alone")
    return path


def has(number: int) -> bool:
    """Whether that set is here, in any process."""
    return (folder() / f"set-{number}").is_file()


class Store:
    """The sets, checked for one model."""

    def __init__(self, path: Path, hidden: int, layers: tuple[int, ...]) -> None:
        self._path = path
        self._hidden = hidden
        self._layers = layers
        self._read: dict[int, tuple[tuple[int, int], VectorSet]] = {}

    def put(self, payload: bytes) -> int:
        """Keeps a set, and gives its number.

        Raises:
            SetError: it cannot be used.
        """
        number = decode(payload, self._hidden, self._layers).number
        temporary = self._path / f".set-{number}"
        temporary.write_bytes(payload)
        temporary.rename(self._path / f"set-{number}")
        self._forget()
        return number

    def get(self, number: int) -> VectorSet:
        """The set of that number.

        Raises:
            SetError: it is not here.
        """
        path = self._path / f"set-{number}"
        try:
            found = path.stat()
            version = (found.st_ino, found.st_mtime_ns)
            known = self._read.get(number)
            if known is not None and known[0] == version:
                return known[1]
            payload = path.read_bytes()
        except OSError as error:
            self._read.pop(number, None)
            raise SetError(f"the set of vectors {number} is not here") from error
        read = decode(payload, self._hidden, self._layers)
        while len(self._read) >= KEPT:
            del self._read[next(iter(self._read))]
        self._read[number] = (version, read)
        return read

    def _forget(self) -> None:
        files = [path for path in self._path.iterdir() if _NAME.fullmatch(path.name)]
        files.sort(key=lambda path: path.stat().st_mtime_ns)
        for path in files[:-KEPT]:
            path.unlink()
