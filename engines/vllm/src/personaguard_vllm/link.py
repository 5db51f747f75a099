"""The connection to the sidecar's Unix socket.

Threads of their own read and write it: the engine puts messages into a bounded queue and never
waits. What does not fit is dropped and counted, and the sidecar takes a gap for a fault.
"""

import contextlib
import functools
import logging
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from personaguard_vllm import frames
from personaguard_vllm.frames import FrameError

_LOG = logging.getLogger("vllm.personaguard")
QUEUE = 1024
# A sidecar that does not read for so long has hung; it is connected to anew.
STALLED_S = 10
RETRY_S = 0.2
COUNTS_S = 1.0

Message = Callable[[], bytes]
"""Makes a message in the writing thread."""


class Link:
    """Connects, and connects again whenever the connection ends."""

    def __init__(
        self,
        path: Path,
        hello: Callable[[], bytes],
        counts: Callable[[int], bytes],
        receive: Callable[[bytes], bytes | None],
    ) -> None:
        self._path = path
        self._hello = hello
        self._counts = counts
        self._receive = receive
        # One that takes no lock of Python's. Who puts into it looks at its length.
        self._queue: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._dropped = 0
        self._peer: socket.socket | None = None
        self._closed = threading.Event()

    def open(self) -> None:
        """Starts to connect, in the background: the sidecar may come later."""
        threading.Thread(target=self._run, name="personaguard-link", daemon=True).start()

    def tell(self, message: Message) -> None:
        """Puts a message into the queue. Never waits. Without a sidecar, nobody is told."""
        if self._peer is None:
            return
        if self._queue.qsize() < QUEUE:
            self._queue.put(message)
        else:
            self._dropped += 1

    def close(self) -> None:
        """Ends the connection for good."""
        self._closed.set()
        peer = self._peer
        if peer is not None:
            _shut(peer)

    def _run(self) -> None:
        # It is waited for here, not by the engine.
        hello = self._hello()
        while not self._closed.is_set():
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                peer.connect(str(self._path))
                self._serve(peer, hello)
            except OSError:
                self._closed.wait(RETRY_S)
            finally:
                _shut(peer)

    def _serve(self, peer: socket.socket, hello: bytes) -> None:
        """Writes in this thread what is queued; another reads what the sidecar sends."""
        timeout = struct.pack("ll", STALLED_S, 0)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        peer.sendall(hello)
        self._drop_queued()
        self._peer = peer
        reader = threading.Thread(
            target=self._read, args=(peer,), name="personaguard-reader", daemon=True
        )
        reader.start()
        _LOG.info("personaguard: connected to the sidecar")
        try:
            self._write(peer)
        finally:
            self._peer = None
            _shut(peer)
            reader.join()

    def _write(self, peer: socket.socket) -> None:
        counted, last = 0.0, b""
        while self._peer is peer:
            with contextlib.suppress(queue.Empty):
                peer.sendall(self._queue.get(timeout=RETRY_S)())
            if time.monotonic() - counted >= COUNTS_S:
                counts = self._counts(self._dropped)
                if counts != last:
                    peer.sendall(counts)
                counted, last = time.monotonic(), counts

    def _read(self, peer: socket.socket) -> None:
        try:
            while True:
                length = frames.read_length(_exactly(peer, frames.LENGTH_BYTES))
                answer = self._receive(_exactly(peer, length))
                if answer is not None:
                    self._answer(peer, answer)
        except (OSError, EOFError):
            pass
        except FrameError as error:
            _LOG.warning("personaguard: ended the connection to the sidecar: %s", error)
        finally:
            # The writer sees it, and ends.
            self._peer = None

    def _answer(self, peer: socket.socket, answer: bytes) -> None:
        """Unlike the engine, who asked can wait for room."""
        while self._queue.qsize() >= QUEUE and self._peer is peer:
            time.sleep(RETRY_S)
        self._queue.put(functools.partial(bytes, answer))

    def _drop_queued(self) -> None:
        """What was measured for another connection is nothing to this one."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()


def _exactly(peer: socket.socket, count: int) -> bytes:
    content = bytearray()
    while len(content) < count:
        part = peer.recv(min(count - len(content), 65536))
        if not part:
            raise EOFError
        content += part
    return bytes(content)


def _shut(peer: socket.socket) -> None:
    with contextlib.suppress(OSError):
        peer.shutdown(socket.SHUT_RDWR)
    peer.close()
