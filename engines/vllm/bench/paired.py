"""How fast an engine is with the plugin, as a share of what it is without.

Each measurement is a ratio of neighbours in time, and their order changes: what slows the machine
down for a while slows both. `Pair` has two engines, which take turns. That is all that can be done
where graphs are captured, but two processes differ by some percent for the pages alone that they
happened to get; `One` has one engine, and takes the plugin out and puts it back between steps.
"""

import importlib
import os
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / "tests"), str(HERE.parent / "src")]

from personaguard_vllm.vectors import Vector  # noqa: E402

# Of the tests: the repository has a folder of that name, which type checkers find first.
Sidecar: Any = importlib.import_module("sidecar").Sidecar

SLOTS = 8
ONLY_PREFILL = {"plan_set": None, "tokens": 1}
_SET = 1


@dataclass(frozen=True)
class Ratio:
    """How fast the engine with the plugin is, as a share of the one without."""

    what: str
    streams: int
    median: float
    low: float
    high: float
    """The quartiles."""
    plain_ms: float
    """A step of the engine without the plugin."""


class Pair:
    """The two engines."""

    def __init__(self, guarded: Connection, plain: Connection, vocabulary: int) -> None:
        self._sides = {True: guarded, False: plain}
        self._vocabulary = vocabulary
        self._runs = 0

    def measure(self, streams: int, prompt: int, tokens: int, rounds: int) -> list[Ratio]:
        """Prefill of prompts of that length, and decoding of that many tokens, by so many streams
        at once. The first round warms up, and does not count."""
        seconds: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        for number in range(rounds + 1):
            tokens_of = np.random.default_rng(number).integers(10, self._vocabulary, (99, prompt))
            prompts = tokens_of[:streams].tolist()
            for side in (True, False) if number % 2 else (False, True):
                self._runs += 1
                task = {"prompts": prompts, "tokens": tokens, "name": f"run{self._runs}"}
                self._sides[side].send(task | {"plan_set": _SET if side else None})
                reading, writing = self._sides[side].recv()
                # A step that was disturbed is one of many.
                seconds[side].append((sum(reading), statistics.median(writing)))
        pairs = list(zip(seconds[True][1:], seconds[False][1:], strict=True))
        return [
            _ratio(what, streams, [(guarded[at], plain[at]) for guarded, plain in pairs])
            for at, what in enumerate(("prefill", "decode"))
        ]


class One:
    """One engine, eager, that is with the plugin in every other step."""

    def __init__(self, engine: Connection, vocabulary: int) -> None:
        self._engine = engine
        self._vocabulary = vocabulary
        self._runs = 0

    def measure(self, streams: int, prompt: int, tokens: int, rounds: int) -> list[Ratio]:
        """Prefill of prompts of that length, and decoding of that many tokens, by so many streams
        at once. The first round warms up, and does not count."""
        reading: list[tuple[float, float]] = []
        writing: list[tuple[float, float]] = []
        for number in range(rounds + 1):
            took: dict[bool, float] = {}
            for has_plugin in (True, False) if number % 2 else (False, True):
                self._runs += 1
                random = np.random.default_rng(self._runs)
                prompts = random.integers(10, self._vocabulary, (streams, prompt)).tolist()
                task = {"prompts": prompts, "name": f"run{self._runs}", "in_turns": True}
                task |= {"plan_set": _SET, "tokens": tokens} if has_plugin else ONLY_PREFILL
                self._engine.send(task)
                took[has_plugin], pairs = self._engine.recv()
                writing += pairs if number else []
            if number:
                reading.append((took[True], took[False]))
        return [_ratio("prefill", streams, reading), _ratio("decode", streams, writing)]


def _ratio(what: str, streams: int, pairs: list[tuple[float, float]]) -> Ratio:
    ratios = [plain / guarded for guarded, plain in pairs]
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    plain = statistics.median(plain for _, plain in pairs)
    return Ratio(what, streams, statistics.median(ratios), low, high, plain * 1e3)


@contextmanager
def one(options: dict[str, Any], hidden: int, layers: tuple[int, int]) -> Iterator[One]:
    """Starts it, with eight vectors at two layers."""
    with ExitStack() as stack:
        yield One(*_guarded(stack, options, hidden, layers))


@contextmanager
def pair(options: dict[str, Any], hidden: int, layers: tuple[int, int]) -> Iterator[Pair]:
    """Starts both, one after the other; the one with the plugin has eight vectors at two layers."""
    with ExitStack() as stack:
        guarded, vocabulary = _guarded(stack, options, hidden, layers)
        # No plugin at all, not one that does nothing.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plain, _ = _start(stack, folder / "plain", options, {"VLLM_PLUGINS": ""})
        yield Pair(guarded, plain, vocabulary)


def _guarded(
    stack: ExitStack, options: dict[str, Any], hidden: int, layers: tuple[int, int]
) -> tuple[Connection, int]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    sidecar = Sidecar(folder / "engine.sock")
    guarding = {
        "VLLM_PLUGINS": "personaguard",
        "PERSONAGUARD_SOCKET": str(folder / "engine.sock"),
        "PERSONAGUARD_LAYERS": ",".join(map(str, layers)),
    }
    guarded, vocabulary = _start(stack, folder / "guarded", options, guarding)
    sidecar.wait(lambda: sidecar.hello != {})
    answer = sidecar.set_vectors(_SET, _vectors(hidden, layers))
    if answer["error"] is not None:
        raise RuntimeError(answer["error"])
    return guarded, vocabulary


def _start(
    stack: ExitStack, socket: Path, options: dict[str, Any], more: dict[str, str]
) -> tuple[Connection, int]:
    environment = os.environ | more
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(HERE.parent / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    listener = stack.enter_context(Listener(str(socket)))
    process = subprocess.Popen(
        [sys.executable, str(HERE / "timed_engine.py"), str(socket)], env=environment
    )
    stack.callback(process.wait, timeout=60)
    connection = stack.enter_context(listener.accept())
    connection.send(options)
    stack.callback(connection.send, None)
    return connection, connection.recv()


def _vectors(hidden: int, layers: tuple[int, int]) -> list[Vector]:
    values = np.random.default_rng(0).normal(size=(SLOTS, hidden))
    return [
        Vector(layers[slot % 2], struct.pack(f"<{hidden}f", *row))
        for slot, row in enumerate(values)
    ]


def table(ratios: list[Ratio]) -> str:
    """For people."""
    lines = [f"{'':<8} {'streams':>7} {'plain ms':>9} {'ratio':>7} {'quartiles':>15}"]
    for ratio in ratios:
        quartiles = f"{ratio.low:.3f}..{ratio.high:.3f}"
        lines.append(
            f"{ratio.what:<8} {ratio.streams:>7} {ratio.plain_ms:>9.2f} {ratio.median:>7.3f} "
            f"{quartiles:>15}"
        )
    return "\n".join(lines)
