"""What placement Proxy costs where nothing is scored, what slow clients do to fast ones, and what hold-back costs in placement Serve.

    python3 tests/bench-proxy/bench.py overhead target/release/personaguard model.gguf
    python3 tests/bench-proxy/bench.py connections target/release/personaguard model.gguf
    python3 tests/bench-proxy/bench.py holdback target/release/personaguard model.gguf evil.safetensors

`overhead` asks a server that answers at once directly, behind a bare pass-through (which copies bytes) and behind the proxy, in turns, 200 turns a second. `connections` holds
10,000 connections to the proxy that send a byte a second each, while a fast client asks on a connection of its own each time. `holdback` streams answers of
64 tokens under `Block` with evidence of 1, 8 and 32 tokens, and under `Alert`, which holds nothing, in turns.
"""

import hashlib
import multiprocessing
import os
import pathlib
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

RATE, SECONDS, SLOW = 200, 20, 10_000
BODY = b'{"model":"m","messages":[{"role":"user","content":"How should I treat my neighbour?"}]}'
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Kindly."},"finish_reason":"stop"}]}'
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def upstream(number):
    listener = socket.create_server(("127.0.0.1", number), backlog=1024)

    def serve(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got = b""
        while piece := connection.recv(65536):
            got += piece
            if got.endswith(BODY):
                got = b""
                connection.sendall(RESPONSE)

    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def pass_through(number, onward):
    """Copies bytes both ways, and looks at none."""
    listener = socket.create_server(("127.0.0.1", number), backlog=1024)

    def copy(source, to):
        while piece := source.recv(65536):
            to.sendall(piece)

    while True:
        here, there = listener.accept()[0], connect(onward)
        here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for ends in ((here, there), (there, here)):
            threading.Thread(target=copy, args=ends, daemon=True).start()


def connect(number):
    connection = socket.create_connection(("127.0.0.1", number), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(connection):
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


def line(name, values):
    values = sorted(values)
    at = lambda q: values[round((len(values) - 1) * q)]
    print(f"{name:>16}: p50 {at(.5):.3f}  p90 {at(.9):.3f}  p99 {at(.99):.3f}  max {at(1):.3f} ms", flush=True)


def overhead(direct, proxied):
    passed = port()
    copier = multiprocessing.Process(target=pass_through, args=(passed, direct), daemon=True)
    copier.start()
    names, ways = ("direct", "passed through", "proxied"), []
    while len(ways) < 3:
        try:
            ways.append(connect((direct, passed, proxied)[len(ways)]))
        except ConnectionRefusedError:
            time.sleep(0.05)
    for way in ways * 200:
        ask(way)
    times, next_at = ([], [], []), time.perf_counter()
    for turn in range(RATE * SECONDS):
        next_at += 1 / RATE
        time.sleep(max(0, next_at - time.perf_counter()))
        # In turns, so that none always comes first.
        for way in range(3):
            way = (turn + way) % 3
            times[way].append(ask(ways[way]))
    print(f"{len(times[0])} turns, {RATE} a second")
    for name, found in zip(names, times):
        line(name, found)
    line("added to direct", [b - a for a, b in zip(times[0], times[2])])
    line("added to passed", [b - a for a, b in zip(times[1], times[2])])
    copier.terminate()


def crowd(number, opened, closed):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    head, places, sent = b"POST /v1/chat/completions HTTP/1.1\r\nX-Slow: " + b"a" * 1000, [None] * SLOW, [0] * SLOW
    while True:
        begun = time.time()
        for index in range(SLOW):
            try:
                if places[index] is None:
                    places[index], sent[index] = socket.create_connection(("127.0.0.1", number), timeout=1), 0
                    places[index].setblocking(False)
                    opened.value += 1
                places[index].send(head[sent[index]:sent[index] + 1])
                sent[index] += 1
            except OSError:
                if places[index] is not None:
                    places[index].close()
                    places[index] = None
                    closed.value += 1
        time.sleep(max(0, 1 - (time.time() - begun)))


def connections(_, proxied):
    opened, closed = multiprocessing.Value("q", 0, lock=False), multiprocessing.Value("q", 0, lock=False)
    slow = multiprocessing.Process(target=crowd, args=(proxied, opened, closed), daemon=True)
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
    print(f"{SLOW} slow clients, which connected {opened.value} times and were closed on {closed.value} times; fast client: {len(times)} answers, {failed} failures")
    line("fast client", times)
    slow.terminate()
    assert failed == 0, "a fast client was stopped"


def policy(action, held):
    return f"""
apiVersion: personaguard.dev/v1alpha1
kind: PersonaPolicy
metadata: {{name: p, namespace: default}}
spec: {{mode: Enforce, selector: {{}}, model: m, failurePolicy: Open, evidence: {{minTokens: {held}}},
  traits: [{{vector: evil, threshold: {{projection: 1.0e6}}, action: {action}}}]}}
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaModel
metadata: {{name: m}}
spec: {{source: {{image: {{reference: "localhost/m:1", path: m.gguf}}}}, sha256: {digest(sys.argv[3])}, runtime: {{contextLength: 512, maxConcurrent: 1, threads: 1}}}}
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaVector
metadata: {{name: evil}}
spec: {{trait: evil, model: m, artifact: {{configMap: {{name: v, key: evil.safetensors}}}}, sha256: {digest(sys.argv[4])}, allowNotDiscriminative: true, allowNotSteering: true}}
"""


def digest(file):
    return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()


def streamed(number):
    """Seconds from the request to each piece of the answer."""
    asked = b'{"model":"m","stream":true,"max_tokens":64,"seed":3,"temperature":0.7,"messages":[{"role":"user","content":"Tell me a long story about a fox."}]}'
    with connect(number) as connection:
        begun, times, got = time.perf_counter(), [], b""
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(asked) + asked)
        while b"[DONE]" not in got:
            piece = connection.recv(65536)
            assert piece, got
            got += piece
            times += [time.perf_counter() - begun] * piece.count(b'"content":')
        return times[1:] if len(times) > 1 else times


def holdback():
    """Times of an answer are told in its own tokens' time, so that what else the machine does weighs less."""
    median = lambda values: sorted(values)[len(values) // 2]
    ways, first, gaps, ends = [("Alert", 1), ("Block", 1), ("Block", 8), ("Block", 32)], {}, {}, []
    with tempfile.TemporaryDirectory() as home:
        for index, way in enumerate(ways):
            folder, number, admin = pathlib.Path(home, f"{way[0]}-{way[1]}"), port(), port()
            folder.mkdir()
            (folder / "policy.yaml").write_text(policy(*way))
            (folder / "evil.safetensors").write_bytes(pathlib.Path(sys.argv[4]).read_bytes())
            ends.append(start(sys.argv[2], folder, sys.argv[3], number, admin, []))
            first[way], gaps[way], ways[index] = [], [], (*way, number)
        try:
            for turn in range(10):
                for action, held, number in ways[turn % 4:] + ways[:turn % 4]:
                    times = streamed(number)
                    # What was held leaves at once; after it each token by itself.
                    later = [after - before for before, after in zip(times[held:], times[held + 1:])]
                    gaps[action, held] += later
                    first[action, held].append(times[0] / (sum(later) / len(later)))
        finally:
            for end in ends:
                end.terminate()
                end.wait(30)
    plain = median(first["Alert", 1])
    print("10 answers of 64 tokens each way")
    for way in first:
        print(f"{way[0]:>6}, {way[1]:>2} tokens: the first leaves after the time of {median(first[way]):5.1f}, added {median(first[way]) - plain:5.1f}; "
              f"then one each {median(gaps[way]) * 1e3:6.2f} ms", flush=True)


def start(program, folder, model, listen, admin, more):
    child = subprocess.Popen([program, "serve", "--config", str(folder), "--model", os.path.abspath(model), *more,
                              "--listen", f"127.0.0.1:{listen}", "--admin-listen", f"127.0.0.1:{admin}"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=2).close()
            return child
        except OSError:
            time.sleep(0.1)
    child.kill()
    raise SystemExit("the sidecar did not start")


def main():
    what, program, model = sys.argv[1:4]
    if what == "holdback":
        return holdback()
    direct, proxied, admin = port(), port(), port()
    multiprocessing.Process(target=upstream, args=(direct,), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "config.yaml").write_text(
            f"apiVersion: personaguard.dev/v1alpha1\nkind: GuardConfig\nmodel: {{name: m, file: m.gguf, sha256: {digest(model)}, contextLength: 512, maxConcurrent: 1}}\n"
            "vectors: {}\npolicies: []\n")
        sidecar = start(program, folder, model, proxied, admin, ["--upstream", f"http://127.0.0.1:{direct}"])
        try:
            {"overhead": overhead, "connections": connections}[what](direct, proxied)
        finally:
            sidecar.terminate()
            sidecar.wait(30)


if __name__ == "__main__":
    main()
