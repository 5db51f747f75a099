"""Sends bad requests to a sidecar on loopback. Prints each answer, and whether it still serves."""

import contextlib
import json
import socket
import sys
from typing import Any

PORT = int(sys.argv[1])
GOOD = {
    "model": "smollm2-135m",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 4,
    "temperature": 0,
}


def exchange(body: bytes) -> tuple[int, bytes]:
    """One HTTP/1.1 exchange. Returns the status and the body."""
    head = [
        "POST /v1/chat/completions HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        "Connection: close",
        f"Content-Length: {len(body)}",
    ]
    with socket.create_connection(("127.0.0.1", PORT), timeout=60) as connection:
        # It may answer before it has read the whole body.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
    status_line, _, payload = answer.partition(b"\r\n\r\n")
    return int(status_line.split()[1]), payload


def json_object(payload: bytes) -> Any:
    """The JSON object in a body, which may be chunked."""
    start, end = payload.find(b"{"), payload.rfind(b"}")
    return json.loads(payload[start : end + 1])


def is_serving() -> bool:
    status, payload = exchange(json.dumps(GOOD).encode())
    return status == 200 and json_object(payload)["object"] == "chat.completion"


def request_with(**fields: Any) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


CASES = [
    ("malformed JSON", b'{"model": ', 400),
    ("not JSON", b"hello", 400),
    ("empty body", b"", 400),
    ("50 MB body", b'{"model": "' + b"x" * 50_000_000 + b'"}', 413),
    (
        "invalid UTF-8",
        b'{"model": "smollm2-135m", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
        400,
    ),
    ("unknown model", request_with(model="no-such-model"), 404),
    ("max_tokens as a text", request_with(max_tokens="many"), 400),
    ("negative max_tokens", request_with(max_tokens=-2), 400),
    ("too many choices", request_with(n=1000), 400),
    ("no messages", request_with(messages=[]), 400),
    ("a message without content", request_with(messages=[{"role": "user"}]), 400),
    ("messages of the wrong type", request_with(messages="Hi"), 400),
    ("a temperature out of range", request_with(temperature=-1), 400),
    (
        "a prompt longer than the context",
        request_with(messages=[{"role": "user", "content": "word " * 20_000}]),
        400,
    ),
]

results = []
for name, body, expected in CASES:
    status, payload = exchange(body)
    error = json_object(payload).get("error")
    results.append(
        {
            "case": name,
            "expected": expected,
            "status": status,
            "error": error,
            "serving_after": is_serving(),
        }
    )

# Ten clients that disconnect in mid-stream: the sidecar must keep serving.
for _ in range(10):
    story = [{"role": "user", "content": "Tell me a long story."}]
    body = request_with(stream=True, max_tokens=1000, messages=story)
    with socket.create_connection(("127.0.0.1", PORT), timeout=60) as connection:
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        connection.recv(1024)
if not is_serving():
    sys.exit("it no longer serves after clients disconnected in mid-stream")
print(json.dumps(results))
