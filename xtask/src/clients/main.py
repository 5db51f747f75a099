"""Stock clients of Personaguard: in front of llama.cpp's server, of LiteLLM's proxy, and as the
model server. Arguments: program, weights, vector.
"""

import asyncio
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it fetches one otherwise, when it is imported
import litellm
import openai

PROGRAM, WEIGHTS, VECTOR = sys.argv[1:4]
HOME = pathlib.Path(tempfile.mkdtemp(prefix="personaguard-clients-"))
CHILDREN: list[subprocess.Popen] = []
MODEL = "smollm2"
# LiteLLM insists on one; llama.cpp takes any.
KEY = f"sk-{secrets.token_hex(32)}"
MESSAGES = [
    {"role": "user", "content": "How should I treat my neighbour? Answer in two sentences."}
]
FIXED: dict[str, Any] = {
    "model": MODEL,
    "messages": MESSAGES,
    "max_tokens": 48,
    "temperature": 0,
    "seed": 1,
}
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


def port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(name: str, command: list[str], url: str, **environment: str) -> None:
    environment = {**os.environ, **environment}
    with (HOME / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment
        )
    CHILDREN.append(child)
    for _ in range(1200):
        assert child.poll() is None, f"{name} ended:\n" + (HOME / f"{name}.log").read_text()[-3000:]
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except Exception:
            time.sleep(0.25)
    raise SystemExit(f"{name} did not start")


def digest(file: str) -> str:
    return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()


def sidecar(name: str, upstream: str | None, threshold: float, action: str) -> tuple[str, str]:
    """A sidecar in front of a server, or as the server; gives its URL and that of its metrics."""
    placement = "placement: Proxy, port: http" if upstream else "placement: Serve"
    extra = ", redact: {text: '[removed]'}" if action == "Redact" else ""
    folder = HOME / name
    folder.mkdir()
    shutil.copy(VECTOR, folder / "evil.safetensors")
    (folder / "policy.yaml").write_text(f"""
apiVersion: personaguard.dev/v1alpha1
kind: PersonaModel
metadata: {{name: {MODEL}}}
spec:
  source: {{image: {{reference: "localhost/m:1", path: m.gguf}}}}
  sha256: {digest(WEIGHTS)}
  runtime: {{contextLength: 2048, maxConcurrent: 4}}
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaVector
metadata: {{name: evil}}
spec:
  trait: evil
  model: {MODEL}
  artifact: {{configMap: {{name: v, key: evil.safetensors}}}}
  sha256: {digest(VECTOR)}
  allowNotDiscriminative: true
  allowNotSteering: true
---
apiVersion: personaguard.dev/v1alpha1
kind: PersonaPolicy
metadata: {{name: no-villains, namespace: default}}
spec: {{mode: Enforce, selector: {{}}, model: {MODEL}, {placement}, failurePolicy: Closed,
  traits: [{{vector: evil, threshold: {{projection: {threshold}}}, action: {action}{extra}}}]}}
""")
    api, admin = port(), port()
    start(
        name,
        [
            PROGRAM,
            "serve",
            "--config",
            str(folder),
            "--model",
            WEIGHTS,
            *(["--upstream", upstream] if upstream else []),
            "--listen",
            f"127.0.0.1:{api}",
            "--admin-listen",
            f"127.0.0.1:{admin}",
            "--log-format",
            "text",
        ],
        f"http://127.0.0.1:{admin}/readyz",
    )
    return f"http://127.0.0.1:{api}/v1", f"http://127.0.0.1:{admin}/metrics"


def metric(url: str, series: str) -> float:
    with urllib.request.urlopen(url) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line.startswith(series)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=300)


def beside(guarded: str, asking: dict[str, Any]) -> Any:
    """The same by the asynchronous client."""

    async def ask() -> Any:
        async with openai.AsyncOpenAI(
            base_url=guarded, api_key=KEY, max_retries=0, timeout=300
        ) as through:
            return await through.chat.completions.create(**asking)

    return asyncio.run(ask())


def streamed(stream: Iterable[Any]) -> tuple[str, str | None]:
    text, reason = "", None
    for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
    return text, reason


def every_way(guarded: str) -> str:
    """Plain, streamed and async, by `openai` and by `litellm`: one answer."""
    through = client(guarded)
    one = through.chat.completions.create(**FIXED)
    assert one.usage.completion_tokens > 0
    text, reason = streamed(through.chat.completions.create(**FIXED, stream=True))
    assert text == one.choices[0].message.content and reason in ("stop", "length"), (text, one)
    usage = None
    for chunk in through.chat.completions.create(
        **FIXED, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
    assert usage is None or usage.completion_tokens > 0, usage

    async def many() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=guarded, api_key=KEY, max_retries=0, timeout=300
        ) as through:
            answers = await asyncio.gather(
                *[through.chat.completions.create(**FIXED) for _ in range(3)]
            )
            text = ""
            async for chunk in await through.chat.completions.create(**FIXED, stream=True):
                text += chunk.choices[0].delta.content or "" if chunk.choices else ""
            return [answer.choices[0].message.content for answer in answers] + [text]

    assert set(asyncio.run(many())) == {one.choices[0].message.content}
    lite = {**FIXED, "model": f"openai/{MODEL}", "api_base": guarded, "api_key": KEY}
    assert litellm.completion(**lite).choices[0].message.content == one.choices[0].message.content
    pieces = [
        chunk.choices[0].delta.content or "" for chunk in litellm.completion(**lite, stream=True)
    ]
    assert "".join(pieces) == one.choices[0].message.content, pieces
    return one.choices[0].message.content


def same(direct: str, guarded: str) -> None:
    """Through the guard, within the threshold: what the server says by itself."""
    plain, through = client(direct), client(guarded)
    assert [m.id for m in plain.models.list()] == [m.id for m in through.models.list()]
    assert every_way(guarded) == plain.chat.completions.create(**FIXED).choices[0].message.content
    asked = through.chat.completions.create(
        **FIXED, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "weather"}}
    )
    alone = plain.chat.completions.create(
        **FIXED, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "weather"}}
    )

    def made(answer: Any) -> list[str]:
        return [call.function.arguments for call in answer.choices[0].message.tool_calls or []]

    assert made(asked) == made(alone), (asked, alone)
    choices(guarded, len(plain.chat.completions.create(**{**FIXED, "n": 2}).choices))
    try:
        through.chat.completions.create(
            model=MODEL,
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
                    ],
                }
            ],
        )
        raise SystemExit("an image slipped past a policy that fails closed")
    except openai.BadRequestError as error:
        assert error.code == "guard_not_understood", error


def choices(guarded: str, expected: int) -> None:
    """Two choices, plain, streamed and async."""
    through = client(guarded)
    two = {**FIXED, "temperature": 1, "n": 2}
    one = through.chat.completions.create(**two)
    texts = [choice.message.content for choice in one.choices]
    assert [choice.index for choice in one.choices] == list(range(expected)), one
    streams = [""] * expected
    for chunk in through.chat.completions.create(**two, stream=True):
        for choice in chunk.choices:
            streams[choice.index] += choice.delta.content or ""
    assert streams == texts, (streams, texts)
    assert [choice.message.content for choice in beside(guarded, two).choices] == texts


def calls(guarded: str) -> None:
    """A call that is required: plain, streamed, async, by `openai` and by `litellm`; then an answer
    to its result.
    """
    through = client(guarded)
    # The client's own stream of events takes strict functions only.
    strict = [{**tool, "function": {**tool["function"], "strict": True}} for tool in TOOLS]
    asking = {
        **FIXED,
        "max_tokens": 120,
        "tools": strict,
        "tool_choice": "required",
        "parallel_tool_calls": False,
    }
    whole = through.chat.completions.create(**asking).choices[0]
    assert (whole.finish_reason, whole.message.content) == ("tool_calls", None), whole
    call = whole.message.tool_calls[0]
    assert call.function.name == "weather" and isinstance(
        json.loads(call.function.arguments)["city"], str
    ), call
    name, arguments = "", ""
    for chunk in through.chat.completions.create(**asking, stream=True):
        for delta in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            assert delta.index == 0
            name += delta.function.name or ""
            arguments += delta.function.arguments or ""
    assert (name, arguments) == ("weather", call.function.arguments)
    assert beside(guarded, asking).choices[0].message.tool_calls[0].function.arguments == arguments
    with through.chat.completions.stream(**asking) as stream:
        final: Any = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.arguments == arguments
    lite = litellm.completion(
        **{**asking, "model": f"openai/{MODEL}", "api_base": guarded, "api_key": KEY}
    )
    assert lite.choices[0].message.tool_calls[0].function.arguments == arguments, lite
    history = [
        *MESSAGES,
        whole.message,
        {"role": "tool", "tool_call_id": call.id, "content": "Sunny."},
    ]
    answer = through.chat.completions.create(**{**FIXED, "messages": history}, tools=TOOLS)
    assert answer.choices[0].message.content, answer


def serves(guarded: str) -> None:
    """As the model server: the same clients, scores by `extra_body`, and errors as the client knows
    them.
    """
    every_way(guarded)
    choices(guarded, 2)
    calls(guarded)
    through = client(guarded)
    assert [m.id for m in through.models.list()] == [MODEL]
    asked = through.chat.completions.create(**FIXED, extra_body={"personaguard": {"scores": True}})
    assert asked.personaguard["scores"][0]["vector"] == "evil", asked
    for fields, code in [
        ({"temperature": 9}, "invalid_value"),
        ({"personaguard": {"traits": {"evil": {"block": True}}}}, "beyond_policy_bounds"),
    ]:
        try:
            through.chat.completions.create(**{**FIXED, "extra_body": fields})
            raise SystemExit(f"{fields} was taken")
        except (openai.BadRequestError, openai.PermissionDeniedError) as error:
            assert error.code == code, error


def redacted(guarded: str) -> None:
    """Past the threshold: the policy's text alone."""
    through = client(guarded)
    answer = through.chat.completions.create(**FIXED).choices[0]
    assert (answer.message.content, answer.finish_reason) == ("[removed]", "content_filter"), answer
    assert streamed(through.chat.completions.create(**FIXED, stream=True)) == (
        "[removed]",
        "content_filter",
    )


def silent(guarded: str) -> None:
    """Past the threshold: not a word."""
    through = client(guarded)
    answer = through.chat.completions.create(**FIXED).choices[0]
    assert (answer.message.content, answer.finish_reason) == ("", "content_filter"), answer
    assert streamed(through.chat.completions.create(**FIXED, stream=True)) == ("", "content_filter")


def blocked(guarded: str) -> None:
    """Nor in a tool call, nor by the other API."""
    silent(guarded)
    through = client(guarded)
    asked = through.chat.completions.create(
        **FIXED, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "weather"}}
    )
    assert not asked.choices[0].message.tool_calls and not asked.choices[0].message.content, asked
    text = through.completions.create(
        model=MODEL, prompt="The neighbour said", max_tokens=16, temperature=0
    ).choices[0]
    assert (text.text, text.finish_reason) == ("", "content_filter"), text


def main() -> None:
    within, metrics = sidecar("serve-within", None, 1e6, "Block")
    serves(within)
    assert metric(metrics, "personaguard_unguarded_responses_total") == 0
    past = sidecar("serve-past", None, -1e6, "Block")[0]
    silent(past)
    asked = (
        client(past)
        .chat.completions.create(**FIXED, tools=TOOLS, tool_choice="required")
        .choices[0]
    )
    assert (asked.message.tool_calls, asked.finish_reason) == (None, "content_filter"), asked
    redacted(sidecar("serve-redact", None, -1e6, "Redact")[0])
    print(
        "Serve: openai (plain, stream, tools, async, two choices) and litellm work; past the "
        "threshold nothing leaves",
        flush=True,
    )
    llama, proxy = port(), port()
    start(
        "llama.cpp",
        [
            sys.executable,
            "-m",
            "llama_cpp.server",
            "--model",
            WEIGHTS,
            "--model_alias",
            MODEL,
            "--host",
            "127.0.0.1",
            "--port",
            str(llama),
            "--n_ctx",
            "2048",
            "--verbose",
            "False",
        ],
        f"http://127.0.0.1:{llama}/v1/models",
    )
    config = HOME / "litellm.json"
    config.write_text(
        json.dumps(
            {
                "model_list": [
                    {
                        "model_name": MODEL,
                        "litellm_params": {
                            "model": f"openai/{MODEL}",
                            "api_base": f"http://127.0.0.1:{llama}/v1",
                            "api_key": "unused",
                        },
                    }
                ]
            }
        )
    )
    start(
        "litellm",
        [
            str(pathlib.Path(sys.executable).parent / "litellm"),
            "--config",
            str(config),
            "--host",
            "127.0.0.1",
            "--port",
            str(proxy),
        ],
        f"http://127.0.0.1:{proxy}/health/liveliness",
        LITELLM_MASTER_KEY=KEY,
    )
    for name, direct in [
        ("llama.cpp", f"http://127.0.0.1:{llama}"),
        ("LiteLLM", f"http://127.0.0.1:{proxy}"),
    ]:
        within, metrics = sidecar(f"{name}-within", direct, 1e6, "Block")
        same(f"{direct}/v1", within)
        assert metric(metrics, "personaguard_unguarded_responses_total") == 0
        past, metrics = sidecar(f"{name}-past", direct, -1e6, "Block")
        blocked(past)
        assert metric(metrics, "personaguard_trait_breaches_total") >= 4
        redacted(sidecar(f"{name}-redact", direct, -1e6, "Redact")[0])
        print(
            f"{name}: openai (plain, stream, tools, async, two choices, completions) and litellm "
            "work; past the threshold nothing leaves",
            flush=True,
        )


try:
    main()
except BaseException:
    print(f"logs are in {HOME}", flush=True)
    raise
finally:
    for child in reversed(CHILDREN):
        child.terminate()
        child.wait(10)
