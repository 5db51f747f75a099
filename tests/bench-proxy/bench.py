"""What placement Proxy costs where nothing is scored, what slow clients do to fast ones, and what
hold-back costs in placement Serve.

    python3 tests/bench-proxy/bench.py overhead target/release/personaguard model.gguf
    python3 tests/bench-proxy/bench.py connections target/release/personaguard model.gguf
    python3 tests/bench-proxy/bench.py holdback target/release/personaguard model.gguf \\
        evil.safetensors

`overhead` asks a server that answers at once, 200 times a second in each of three ways in turn:
directly, behind a bare pass-through (which copies bytes), and behind the proxy. `connections` holds
10,000 connections to the proxy that send a byte a second each, while a fast client asks on a
connection of its own each time. `holdback` streams answers of 64 tokens under `Block` with evidence
of 1, 8 and 32 tokens, and under `Alert`, which holds nothing, in turns.
"""

import ctypes
import hashlib
import itertools
import json
import multiprocessing
import pathlib
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterable

RATE, SECONDS, SLOW = 200, 20, 10_000
BODY = b'{"model":"m","messages":[{"role":"user","content":"How should I treat my neighbour?"}]}'
ANSWER = (
    b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Kindly."},'
    b'"finish_reason":"stop"}]}'
)


def message(first_lines: bytes, body: bytes) -> bytes:
    """An HTTP message with a JSON body."""
    kind = b"Content-Type: application/json"
    return first_lines + b"\r\n%s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body)) + body


POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x"
REQUEST = message(POST, BODY)
RESPONSE = message(b"HTTP/1.1 200 OK", ANSWER)


def port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def upstream(number: int) -> None:
    listener = socket.create_server(("127.0.0.1", number), backlog=1024)

    def serve(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got = b""
        while piece := connection.recv(65536):
            got += piece
            if got.endswith(BODY):
                got = b""
                connection.sendall(RESPONSE)

    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def pass_through(number: int, onward: int) -> None:
    """Copies bytes both ways, and looks at none."""
    listener = socket.create_server(("127.0.0.1", number), backlog=1024)

    def copy(source: socket.socket, to: socket.socket) -> None:
        while piece := source.recv(65536):
            to.sendall(piece)

    while True:
        here, there = listener.accept()[0], connect(onward)
        here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for ends in ((here, there), (there, here)):
            threading.Thread(target=copy, args=ends, daemon=True).start()


def connect(number: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", number), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(connection: socket.socket) -> float:
    """Milliseconds until the whole answer was there."""
    begun = time.perf_counter()
    connection.sendall(REQUEST)
    got = b""
    while not got.endswith(ANSWER):
        piece = connection.recv(65536)
        assert piece, f"the connection ended after {got!r}"
        got += piece
    took = (time.perf_counter() - begun) * 1e3
    assert got.startswith(b"HTTP/1.1 200"), got
    return took


def line(name: str, values: Iterable[float]) -> None:
    ordered = sorted(values)

    def at(q: float) -> float:
        return ordered[round((len(ordered) - 1) * q)]

    print(
        f"{name:>16}: p50 {at(0.5):.3f}  p90 {at(0.9):.3f}  p99 {at(0.99):.3f}  max {at(1):.3f} ms",
        flush=True,
    )


def overhead(direct: int, proxied: int) -> None:
    passed = port()
    copier = multiprocessing.Process(target=pass_through, args=(passed, direct), daemon=True)
    copier.start()
    names = ("direct", "passed through", "proxied")
    ways: list[socket.socket] = []
    while len(ways) < 3:
        try:
            ways.append(connect((direct, passed, proxied)[len(ways)]))
        except ConnectionRefusedError:
            time.sleep(0.05)
    for way in ways * 200:
        ask(way)
    times: tuple[list[float], ...] = ([], [], [])
    next_at = time.perf_counter()
    for turn in range(RATE * SECONDS):
        next_at += 1 / RATE
        time.sleep(max(0, next_at - time.perf_counter()))
        # In turns, so that none always comes first.
        for offset in range(3):
            index = (turn + offset) % 3
            times[index].append(ask(ways[index]))
    print(f"{len(times[0])} turns, {RATE} a second")
    for name, found in zip(names, times, strict=True):
        line(name, found)
    line("added to direct", [b - a for a, b in zip(times[0], times[2], strict=True)])
    line("added to passed", [b - a for a, b in zip(times[1], times[2], strict=True)])
    copier.terminate()


def slow_clients(number: int, opened: ctypes.c_longlong, closed: ctypes.c_longlong) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    head = b"POST /v1/chat/completions HTTP/1.1\r\nX-Slow: " + b"a" * 1000
    places: list[socket.socket | None] = [None] * SLOW
    sent = [0] * SLOW
    while True:
        begun = time.time()
        for index, place in enumerate(places):
            try:
                if place is None:
                    place = socket.create_connection(("127.0.0.1", number), timeout=1)
                    place.setblocking(False)
                    places[index], sent[index] = place, 0
                    opened.value += 1
                place.send(head[sent[index] : sent[index] + 1])
                sent[index] += 1
            except OSError:
                if place is not None:
                    place.close()
                    places[index] = None
                    closed.value += 1
        time.sleep(max(0, 1 - (time.time() - begun)))


def connections(_: int, proxied: int) -> None:
    opened = multiprocessing.Value("q", 0, lock=False)
    closed = multiprocessing.Value("q", 0, lock=False)
    slow = multiprocessing.Process(target=slow_clients, args=(proxied, opened, closed), daemon=True)
    slow.start()
    while opened.value < SLOW:
        time.sleep(0.1)
    times, failed, end = [], 0, time.time() + SECONDS
    while time.time() < end:
        try:
            begun = time.perf_counter()
            with connect(proxied) as connection:
                ask(connection)
            times.append((time.perf_counter() - begun) * 1e3)
        except (OSError, AssertionError):
            failed += 1
        time.sleep(0.02)
    print(
        f"{SLOW} slow clients, which connected {opened.value} times and were closed on "
        f"{closed.value} times; fast client: {len(times)} answers, {failed} failures"
    )
    line("fast client", times)
    slow.terminate()
    assert failed == 0, "a fast client was stopped"


def policy(action: str, held: int) -> str:
    return f"""
apiVersion: personaguard.dev/v1alpha1
kind: PersonaPolicy
metadata: {{name: p, namespace: default}}
spec:
  mode: Enforce
  selector: {{}}
  model: m
  failurePolicy: Open
  evidence: {{minTokens: {held}}}
  traits: [{{vector: evil, threshold: {{projection: 1.0e6}}, action: {action}}}]
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaModel
metadata: {{name: m}}
spec:
  source: {{image: {{reference: "localhost/m:1", path: m.gguf}}}}
  sha256: {digest(sys.argv[3])}
  runtime: {{contextLength: 512, maxConcurrent: 1, threads: 1}}
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaVector
metadata: {{name: evil}}
spec:
  trait: evil
  model: m
  artifact: {{configMap: {{name: v, key: evil.safetensors}}}}
  sha256: {digest(sys.argv[4])}
  allowNotDiscriminative: true
  allowNotSteering: true
"""


def digest(file: str) -> str:
    return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()


def streamed(number: int) -> list[float]:
    """Seconds from the request to each piece of the answer."""
    asked = {
        "model": "m",
        "stream": True,
        "max_tokens": 64,
        "seed": 3,
        "temperature": 0.7,
        "messages": [{"role": "user", "content": "Tell me a long story about a fox."}],
    }
    with connect(number) as connection:
        begun, times, got = time.perf_counter(), [], b""
        connection.sendall(message(POST, json.dumps(asked).encode()))
        while b"[DONE]" not in got:
            piece = connection.recv(65536)
            assert piece, got
            got += piece
            times += [time.perf_counter() - begun] * piece.count(b'"content":')
        return times[1:] if len(times) > 1 else times


def holdback() -> None:
    """Compares how soon the first text of an answer leaves. Times are in units of the answer's own
    time per token, so that what else the machine does weighs less.
    """
    ways = [("Alert", 1), ("Block", 1), ("Block", 8), ("Block", 32)]
    ports: dict[tuple[str, int], int] = {}
    first: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    gaps: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    ends: list[subprocess.Popen] = []
    with tempfile.TemporaryDirectory() as home:
        for way in ways:
            folder, admin = pathlib.Path(home, f"{way[0]}-{way[1]}"), port()
            ports[way] = port()
            folder.mkdir()
            (folder / "policy.yaml").write_text(policy(*way))
            (folder / "evil.safetensors").write_bytes(pathlib.Path(sys.argv[4]).read_bytes())
            ends.append(start(sys.argv[2], folder, sys.argv[3], ports[way], admin, []))
        try:
            for turn in range(10):
                for way in ways[turn % 4 :] + ways[: turn % 4]:
                    times, held = streamed(ports[way]), way[1]
                    # What was held leaves at once; after it each token by itself.
                    later = [after - before for before, after in itertools.pairwise(times[held:])]
                    gaps[way] += later
                    first[way].append(times[0] / (sum(later) / len(later)))
        finally:
            for end in ends:
                end.terminate()
                end.wait(30)
    plain = statistics.median_high(first["Alert", 1])
    print("10 answers of 64 tokens each way")
    for way in ways:
        soon, gap = statistics.median_high(first[way]), statistics.median_high(gaps[way])
        print(
            f"{way[0]:>6}, {way[1]:>2} tokens: the first leaves after the time of {soon:5.1f}, "
            f"added {soon - plain:5.1f}; then one each {gap * 1e3:6.2f} ms",
            flush=True,
        )


def start(
    program: str, folder: pathlib.Path, model: str, listen: int, admin: int, more: list[str]
) -> subprocess.Popen:
    child = subprocess.Popen(
        [
            program,
            "serve",
            "--config",
            str(folder),
            "--model",
            str(pathlib.Path(model).resolve()),
            *more,
            "--listen",
            f"127.0.0.1:{listen}",
            "--admin-listen",
            f"127.0.0.1:{admin}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=2).close()
            return child
        except OSError:
            time.sleep(0.1)
    child.kill()
    raise SystemExit("the sidecar did not start")


def main() -> None:
    what, program, model = sys.argv[1:4]
    if what == "holdback":
        holdback()
        return
    direct, proxied, admin = port(), port(), port()
    multiprocessing.Process(target=upstream, args=(direct,), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        served = f"name: m, file: m.gguf, sha256: {digest(model)}, contextLength: 512"
        pathlib.Path(folder, "config.yaml").write_text(
            "apiVersion: personaguard.dev/v1alpha1\nkind: GuardConfig\n"
            f"model: {{{served}, maxConcurrent: 1}}\nvectors: {{}}\npolicies: []\n"
        )
        sidecar = start(
            program,
            pathlib.Path(folder),
            model,
            proxied,
            admin,
            ["--upstream", f"http://127.0.0.1:{direct}"],
        )
        try:
            {"overhead": overhead, "connections": connections}[what](direct, proxied)
        finally:
            sidecar.terminate()
            sidecar.wait(30)


if __name__ == "__main__":
    main()
