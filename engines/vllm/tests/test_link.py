"""The connection to the sidecar: bounded, and nothing that comes in does harm."""

import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from personaguard_vllm import frames, link
from personaguard_vllm.frames import FrameError, Kind, Part
from personaguard_vllm.link import Link


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(tmp_path / "engine.sock"))
    listening.listen()
    listening.settimeout(10)
    yield listening
    listening.close()


def _link(tmp_path: Path, received: list[bytes]) -> Link:
    def receive(message: bytes) -> bytes | None:
        if message[0] == 99:
            raise FrameError("there is no message of kind 99")
        received.append(message)
        return b"answer"

    made = Link(
        tmp_path / "engine.sock", lambda: b"hello", lambda dropped: b"%d" % dropped, receive
    )
    made.open()
    return made


def _accept(listener: socket.socket) -> socket.socket:
    peer, _ = listener.accept()
    peer.settimeout(10)
    return peer


def test_rows_are_written_by_set_and_read_back() -> None:
    random = np.random.default_rng(1)
    parts = [
        Part("a", 1, 5, 4, random.normal(size=(3, 2)).astype(np.float32)),
        Part("b", 2, 9, 30, random.normal(size=(1, 4)).astype(np.float32)),
        Part("c", 1, 7, 6, np.full((1, 2), np.nan, dtype=np.float32)),
    ]
    stream, read = frames.rows_frames(parts), []
    while stream:
        length = frames.read_length(stream[:4])
        assert stream[4] == Kind.ROWS
        read += frames.read_rows(stream[5 : 4 + length])
        stream = stream[4 + length :]
    assert [part.id for part in read] == ["a", "c", "b"]
    for part in read:
        given = next(other for other in parts if other.id == part.id)
        assert (part.set_number, part.prompt, part.first) == (
            given.set_number,
            given.prompt,
            given.first,
        )
        np.testing.assert_array_equal(part.readings, given.readings)


@pytest.mark.parametrize("length", [0, frames.MAX_MESSAGE + 1, 2**32 - 1])
def test_a_length_out_of_range_is_refused(length: int) -> None:
    with pytest.raises(FrameError, match="bytes"):
        frames.read_length(struct.pack("<I", length))


@pytest.mark.parametrize("payload", [b"", b"x" * 65, "ä".encode()])
def test_an_id_that_cannot_be_one_is_refused(payload: bytes) -> None:
    with pytest.raises(FrameError, match="an id has"):
        frames.read_id(payload)


def test_it_answers_and_connects_again_after_nonsense(
    tmp_path: Path, listener: socket.socket
) -> None:
    received: list[bytes] = []
    made = _link(tmp_path, received)
    for nonsense in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\0\0\0" + bytes([99])):
        peer = _accept(listener)
        assert peer.recv(5) == b"hello"
        peer.sendall(struct.pack("<I", 2) + b"\x41x")
        content = b""
        while b"answer" not in content:
            content += peer.recv(100)
        peer.sendall(nonsense)
        while peer.recv(100):
            pass
        peer.close()
    assert received == [b"\x41x"] * 3
    made.close()


def test_an_answer_goes_behind_what_was_told_before(
    tmp_path: Path, listener: socket.socket
) -> None:
    made = _link(tmp_path, [])
    peer = _accept(listener)
    assert peer.recv(5) == b"hello"
    while made._peer is None:
        time.sleep(0.01)
    for _ in range(500):
        made.tell(lambda: b"row ")
    peer.sendall(struct.pack("<I", 2) + b"\x41x")
    content = b""
    while b"answer" not in content:
        content += peer.recv(100)
    assert content[: content.index(b"answer")].count(b"row ") == 500
    made.close()


def test_a_sidecar_that_does_not_read_costs_messages_not_time(
    tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "STALLED_S", 1)
    made = _link(tmp_path, [])
    peer = _accept(listener)
    assert peer.recv(5) == b"hello"
    while made._peer is None:
        time.sleep(0.01)
    content, count = bytes(4096), 4 * link.QUEUE
    started = time.monotonic()
    for _ in range(count):
        made.tell(lambda: content)
    assert time.monotonic() - started < 5
    assert made._dropped > 0
    # It is connected to anew, since what it has not read cannot be continued.
    assert _accept(listener).recv(5) == b"hello"
    made.close()


def test_without_a_sidecar_nothing_is_kept(tmp_path: Path) -> None:
    made = Link(tmp_path / "none.sock", lambda: b"", lambda _: b"", lambda _: None)
    made.open()
    made.tell(lambda: b"")
    assert made._queue.empty()
    made.close()
