"""Plays the sidecar: listens where the plugin connects, and keeps what it is told."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from personaguard_vllm import frames
from personaguard_vllm.frames import Kind, Part
from personaguard_vllm.vectors import Vector, encode


class Sidecar:
    """One listening socket. A new connection takes the place of the old one."""

    def __init__(self, path: Path) -> None:
        self.hello: dict[str, Any] = {}
        self.counts: dict[str, Any] = {}
        self.connections = 0
        self._answers: list[dict[str, Any]] = []
        self._parts: list[Part] = []
        self._states: dict[tuple[str, str], tuple[int, np.ndarray]] = {}
        self._peer: socket.socket | None = None
        self._news = threading.Condition()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def send(self, content: bytes) -> None:
        self.wait(lambda: self._peer is not None)
        assert self._peer is not None
        self._peer.sendall(content)

    def set_vectors(self, number: int, vectors: list[Vector]) -> dict[str, Any]:
        """Sends a set, and waits for the answer."""
        known = len(self._answers)
        self.send(frames.frame(Kind.VECTORS, encode(number, vectors)))
        self.wait(lambda: len(self._answers) > known)
        return self._answers[-1]

    def abort(self, name: str) -> None:
        self.send(frames.frame(Kind.ABORT, name.encode()))

    def hang_up(self) -> None:
        """Ends the connection, as a sidecar that restarts does."""
        known = self.connections
        assert self._peer is not None
        self._peer.shutdown(socket.SHUT_RDWR)
        self.wait(lambda: self.connections > known)

    def parts(self, name: str) -> list[Part]:
        """What has been told of a request, once nothing more has come for a while."""
        with self._news:
            while self._news.wait(timeout=0.5):
                pass
            return [part for part in self._parts if part.id == name]

    def told(self, name: str) -> dict[int, np.ndarray]:
        """Projections of a request by position. Those told again must be equal."""
        found: dict[int, np.ndarray] = {}
        for part in self.parts(name):
            for position, reading in enumerate(part.readings, part.first):
                if position in found:
                    np.testing.assert_allclose(reading, found[position], rtol=1e-3, atol=5e-3)
                found[position] = reading
        return found

    def states(self, name: str, of: str) -> tuple[int, np.ndarray]:
        """The states that are told of a request: over how many tokens, and the mean of them."""
        self.wait(lambda: (name, of) in self._states)
        return self._states[name, of]

    def has_states(self, name: str) -> bool:
        """Whether any have been told by now."""
        return any(known == name for known, _ in self._states)

    def wait(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        with self._news:
            while not holds():
                assert time.monotonic() < end, "the plugin did not do it in time"
                self._news.wait(timeout=0.1)

    def _accept(self) -> None:
        while True:
            peer, _ = self._listener.accept()
            threading.Thread(target=self._read, args=(peer,), daemon=True).start()

    def _read(self, peer: socket.socket) -> None:
        stream = peer.makefile("rb")
        while head := stream.read(4):
            (length,) = struct.unpack("<I", head)
            content = stream.read(length)
            with self._news:
                self._take(peer, Kind(content[0]), content[1:])
                self._news.notify_all()

    def _take(self, peer: socket.socket, kind: Kind, payload: bytes) -> None:
        match kind:
            case Kind.HELLO:
                self.hello, self._peer = json.loads(payload), peer
                self.connections += 1
            case Kind.VECTORS_ANSWER:
                self._answers.append(json.loads(payload))
            case Kind.ROWS:
                self._parts += frames.read_rows(payload)
            case Kind.STATES:
                head, values = frames.read_states(payload)
                self._states[head["id"], head["of"]] = (head["tokens"], values)
            case Kind.COUNTS:
                self.counts = json.loads(payload)
