"""Measures a server that speaks OpenAI's API: concurrent streams over HTTP, its memory, and how
soon it is ready.

streams.py READY STREAMS PROMPT RESPONSE -- SERVER ARGUMENTS…: starts the server, with {port}
replaced in its arguments, waits until GET READY answers 200, and prints one JSON object. Uses
Python's standard library alone.
"""

import http.client
import json
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

ready_path, streams, prompt, response = sys.argv[1], *map(int, sys.argv[2:5])
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
command = [argument.replace("{port}", str(port)) for argument in sys.argv[6:]]


def request(method: str, path: str, body: Any = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request(
        method, path, body and json.dumps(body), {"Content-Type": "application/json"}
    )
    return connection.getresponse()


def is_ready() -> bool:
    try:
        return request("GET", ready_path).status == 200
    except OSError:
        return False


def chat(words: list[str], most: int, stream: bool) -> http.client.HTTPResponse:
    body: dict[str, Any] = {"model": model, "max_tokens": most, "temperature": 0, "stream": stream}
    text = "Go on with this list of words for as long as you can: " + " ".join(words)
    body["messages"] = [{"role": "user", "content": text}]
    if stream:
        body["stream_options"] = {"include_usage": True}
    answer = request("POST", "/v1/chat/completions", body)
    assert answer.status == 200, answer.read()
    return answer


def words(count: int, salt: int) -> list[str]:
    """Others for each salt from the first word on, so that no server finds them in its cache."""
    return [
        ["river", "stone", "lamp", "cloud", "bread"][(index * 7 + salt * 3 + index * salt // 5) % 5]
        for index in range(count)
    ]


def prompt_tokens(count: int, salt: int) -> int:
    return json.load(chat([f"{salt}", *words(count, salt)], 1, False))["usage"]["prompt_tokens"]


def one(salt: int, count: int, usages: list[Any], together: threading.Barrier) -> None:
    together.wait()
    usage = None
    for line in chat([f"{salt}", *words(count, salt)], response, True):
        # Only the usage is parsed: the client should cost little.
        if b'"usage":{' in line.replace(b" ", b""):
            usage = json.loads(line.removeprefix(b"data: "))["usage"]
    usages.append(usage)


# Whoever ends this ends the server too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
started = time.perf_counter()
server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    while not is_ready():
        assert server.poll() is None, f"the server ended: {command}"
        assert time.perf_counter() - started < 300, (
            f"the server is not ready after 300 s: {command}"
        )
        time.sleep(0.01)
    ready = time.perf_counter() - started
    model = json.load(request("GET", "/v1/models"))["data"][0]["id"]
    # How many words come to so many tokens; warms up besides.
    few, many = prompt_tokens(1, 900), prompt_tokens(101, 901)
    count = max(1, round((prompt - few) * 100 / (many - few)))
    usages: list[Any] = []
    together = threading.Barrier(streams + 1)
    threads = [
        threading.Thread(target=one, args=(salt, count, usages, together))
        for salt in range(100, 100 + streams)
    ]
    for thread in threads:
        thread.start()
    together.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    tokens = sum(usage["completion_tokens"] for usage in usages)
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    result = {
        "ready_seconds": ready,
        "tokens_per_second": tokens / took,
        "completion_tokens": tokens,
        "prompt_tokens": sum(usage["prompt_tokens"] for usage in usages),
        "rss_mib": peak / 1024,
    }
    print(json.dumps(result))
finally:
    server.terminate()
    server.wait()
