"""What placement Proxy costs where nothing is scored, and what slow clients do to fast ones.

    python3 tests/bench-proxy/bench.py overhead target/release/personaguard model.gguf
    python3 tests/bench-proxy/bench.py connections target/release/personaguard model.gguf

`overhead` asks a server that answers at once, with and without the proxy in front, in pairs, 200 pairs a second. `connections` holds
10,000 connections to the proxy that send a byte a second each, while a fast client asks on a connection of its own each time.
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
    ways = [connect(direct), connect(proxied)]
    for way in ways * 200:
        ask(way)
    times, next_at = ([], []), time.perf_counter()
    for pair in range(RATE * SECONDS):
        next_at += 1 / RATE
        time.sleep(max(0, next_at - time.perf_counter()))
        # In turns, so that neither always comes first.
        for way in (pair % 2, 1 - pair % 2):
            times[way].append(ask(ways[way]))
    print(f"{len(times[0])} pairs, {RATE} a second")
    line("direct", times[0])
    line("proxied", times[1])
    line("added, in pairs", [b - a for a, b in zip(*times)])


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


def main():
    what, program, model = sys.argv[1:4]
    direct, proxied, admin = port(), port(), port()
    multiprocessing.Process(target=upstream, args=(direct,), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        digest = hashlib.sha256(pathlib.Path(model).read_bytes()).hexdigest()
        pathlib.Path(folder, "config.yaml").write_text(
            f"apiVersion: personaguard.dev/v1alpha1\nkind: GuardConfig\nmodel: {{name: m, file: m.gguf, sha256: {digest}, contextLength: 512, maxConcurrent: 1}}\n"
            "vectors: {}\npolicies: []\n")
        sidecar = subprocess.Popen([program, "serve", "--config", folder, "--model", os.path.abspath(model), "--upstream", f"http://127.0.0.1:{direct}",
                                    "--listen", f"127.0.0.1:{proxied}", "--admin-listen", f"127.0.0.1:{admin}"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=2).close()
                    break
                except OSError:
                    time.sleep(0.1)
            {"overhead": overhead, "connections": connections}[what](direct, proxied)
        finally:
            sidecar.terminate()
            sidecar.wait(30)


if __name__ == "__main__":
    main()
