"""Sets of vectors: what is taken, what is refused, and how processes share them."""

import struct
from pathlib import Path

import pytest
import torch
from personaguard_vllm import buffers, store
from personaguard_vllm.columns import COLUMNS, Columns, NoRoomError
from personaguard_vllm.refusal import UnsupportedError
from personaguard_vllm.salt import salted
from personaguard_vllm.store import Store
from personaguard_vllm.table import Table
from personaguard_vllm.vectors import SetError, Vector, decode, encode

LAYERS = (3, 5)


def _vector(first: float = 1.0, layer: int = 3) -> Vector:
    return Vector(layer, struct.pack("<4f", first, 0, 0, 2))


def test_a_set_is_read_as_it_was_written() -> None:
    given = [_vector(), _vector(2.0, 5)]
    read = decode(encode(2**64 - 1, given), 4, LAYERS)
    assert (read.number, list(read.vectors)) == (2**64 - 1, given)


_GOOD = encode(1, [_vector()])


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "ends before its first vector"),
        (encode(1, []), "1 to 16 vectors, not 0"),
        (encode(1, [_vector()] * 17), "1 to 16 vectors, not 17"),
        (encode(1, [Vector(3, bytes(12))]), "3 values; this model's hidden size is 4"),
        (_GOOD[:-1], "does not end with its last vector"),
        (_GOOD + b"\0", "does not end with its last vector"),
        (encode(1, [_vector(layer=4)]), "slot 0 is for layer 4, and the layers that are tapped"),
        (encode(1, [_vector(), Vector(3, bytes(16))]), "slot 1 is zero"),
        (encode(1, [_vector(float("nan"))]), "not finite"),
        (encode(1, [_vector(1e20)]), "beyond 1e"),
    ],
)
def test_a_bad_set_is_refused_in_a_sentence(payload: bytes, why: str) -> None:
    with pytest.raises(SetError, match=why):
        decode(payload, 4, LAYERS)


def test_another_process_reads_what_one_wrote_and_the_last_two_are_kept(tmp_path: Path) -> None:
    one, other = Store(tmp_path, 4, LAYERS), Store(tmp_path, 4, LAYERS)
    for number in (1, 2, 3):
        one.put(encode(number, [_vector(float(number))]))
        assert other.get(number).vectors == (_vector(float(number)),)
    with pytest.raises(SetError, match="set of vectors 1 is not here"):
        other.get(1)
    assert other.get(2).vectors == (_vector(2.0),)
    # A sidecar that restarts counts anew.
    one.put(encode(2, [_vector(9.0)]))
    assert other.get(2).vectors == (_vector(9.0),)


def test_the_folder_is_this_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "none"))
    with pytest.raises(UnsupportedError, match=store.VARIABLE):
        store.folder()
    (tmp_path / "open").mkdir(mode=0o755)
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "open"))
    with pytest.raises(UnsupportedError, match="not this user's alone"):
        store.folder()
    (tmp_path / "own").mkdir(mode=0o700)
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "own"))
    assert store.folder() == tmp_path / "own"


def test_running_requests_keep_their_vectors() -> None:
    columns = Columns()
    for number in range(COLUMNS):
        columns.place(str(number))
        columns.hold(str(number))
    with pytest.raises(NoRoomError):
        columns.place("new")
    columns.release("5")
    assert columns.place("new") == 5
    assert columns.find("5") is None


def test_vectors_that_find_no_room_hold_nothing() -> None:
    table = Table(buffers.make(5, 4, 4, 8, torch.device("cpu")))
    table.hold(tuple(_vector(float(number)) for number in range(COLUMNS - 1)))
    with pytest.raises(NoRoomError):
        table.hold((_vector(50.0), _vector(51.0)))
    assert table.hold((_vector(52.0),)) == (COLUMNS - 1,)


def test_the_salt_is_of_changes_and_vectors_not_of_names(tmp_path: Path) -> None:
    kept = Store(tmp_path, 4, LAYERS)
    kept.put(encode(1, [_vector()]))

    def of(name: str, change: str, salt: str | None = None) -> str | None:
        text = f'{{"id":"{name}","set":"1","changes":[{change}]}}'
        return salted(salt, {"personaguard": text}, tmp_path)

    steer = '{"slot":0,"add":1,"positions":"all"}'
    assert salted("client", {}, tmp_path) == "client"
    assert of("a", "") is None, "what only measures shares with all"
    first = of("a", steer)
    assert first == of("b", steer)
    assert first != of("a", steer.replace("1", "2"))
    assert first != of("a", steer, "client")
    kept.put(encode(1, [_vector(3.0)]))
    assert first != of("a", steer), "the set's number is another set's now"
    assert of("a", "nonsense") != of("a", "nonsense"), "a bad plan shares nothing"
    (tmp_path / "set-1").unlink()
    assert of("a", steer) != of("a", steer), "nor does one whose vectors are not here"
