"""Sends bad requests to a sidecar on loopback and prints, for each, what came back and whether it still serves."""
import json
import socket
import sys

PORT = int(sys.argv[1])
GOOD = {"model": "smollm2-135m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "temperature": 0}


def exchange(body, headers=(), length=None):
    """One HTTP/1.1 exchange; the whole answer, split into status and body."""
    head = [
        "POST /v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Connection: close",
        f"Content-Length: {len(body) if length is None else length}", *headers,
    ]
    with socket.create_connection(("127.0.0.1", PORT), timeout=60) as connection:
        try:
            connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # Refused before the whole body was read; the answer is there all the same.
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
    head, _, payload = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), payload


def dechunk(payload):
    """The JSON object inside a body, chunked or not."""
    start, end = payload.find(b"{"), payload.rfind(b"}")
    return json.loads(payload[start:end + 1])


def serving():
    status, payload = exchange(json.dumps(GOOD).encode())
    return status == 200 and dechunk(payload)["object"] == "chat.completion"


def with_(**fields):
    return json.dumps({**GOOD, **fields}).encode()


CASES = [
    ("malformed JSON", b'{"model": ', 400),
    ("no JSON at all", b"hello", 400),
    ("empty body", b"", 400),
    ("50 MB body", b'{"model": "' + b"x" * 50_000_000 + b'"}', 413),
    ("invalid UTF-8", b'{"model": "smollm2-135m", "messages": [{"role": "user", "content": "\xff\xfe"}]}', 400),
    ("unknown model", with_(model="no-such-model"), 404),
    ("zero max_tokens", with_(max_tokens=0), 400),
    ("negative max_tokens", with_(max_tokens=-1), 400),
    ("huge max_tokens", with_(max_tokens=10**15), 400),
    ("no messages", with_(messages=[]), 400),
    ("a message without content", with_(messages=[{"role": "user"}]), 400),
    ("messages of the wrong type", with_(messages="Hi"), 400),
    ("a temperature beyond the range", with_(temperature=99), 400),
    ("a prompt past the context", with_(messages=[{"role": "user", "content": "word " * 20_000}]), 400),
]

results = []
for name, body, expected in CASES:
    status, payload = exchange(body)
    error = dechunk(payload).get("error")
    results.append({"case": name, "expected": expected, "status": status, "error": error, "serving_after": serving()})

# A client that leaves in mid-stream, ten times over: nothing to answer, but it must go on serving.
for _ in range(10):
    body = with_(stream=True, max_tokens=1000, messages=[{"role": "user", "content": "Tell me a long story."}])
    with socket.create_connection(("127.0.0.1", PORT), timeout=60) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        connection.recv(1024)
if not serving():
    sys.exit("it no longer serves after clients left in mid-stream")
print(json.dumps(results))
