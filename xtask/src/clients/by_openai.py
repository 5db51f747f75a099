"""OpenAI's own client: chats, completions and responses; plain, streamed and asynchronous."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Literal

import openai
from cases import CALL_TOKENS, MAX_TOKENS, MESSAGES, QUESTION, TOOL, Cases, Ends, NoCallError, wait
from pydantic import BaseModel
from servers import KEY, MODEL

PACKAGES = ("openai",)
FIXED: dict[str, Any] = {
    "model": MODEL,
    "messages": MESSAGES,
    "max_tokens": MAX_TOKENS,
    "temperature": 0,
    "seed": 1,
}
TOOLS: list[Any] = [{"type": "function", "function": {**TOOL, "strict": True}}]
CALLING: dict[str, Any] = {
    **FIXED,
    "max_tokens": CALL_TOKENS,
    "tools": TOOLS,
    "tool_choice": "required",
    "parallel_tool_calls": False,
}
RESPONSE: dict[str, Any] = {
    "model": MODEL,
    "input": QUESTION,
    "instructions": "Be kind.",
    "max_output_tokens": MAX_TOKENS,
    "temperature": 0,
}
RESPONSE_TOOLS: list[Any] = [{"type": "function", **TOOL, "strict": True}]
case = Cases()


class Advice(BaseModel):
    tone: Literal["kind", "unkind"]
    is_short: bool


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, timeout=300)


def asynchronously(url: str, ask: Callable[[openai.AsyncOpenAI], Any]) -> Any:
    async def run() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, timeout=300) as through:
            return await ask(through)

    return wait(run())


@case
def models(url: str) -> Any:
    return [model.id for model in client(url).models.list()]


@case
def chat(url: str) -> Any:
    answer = client(url).chat.completions.with_raw_response.create(**FIXED)
    assert answer.retries_taken == 0, answer.headers
    completion = answer.parse()
    assert completion.usage is not None and completion.usage.completion_tokens > 0, completion
    return completion


@case
def chat_stream(url: str) -> Any:
    text, reason, usage = "", None, None
    asking = {**FIXED, "stream": True, "stream_options": {"include_usage": True}}
    for chunk in client(url).chat.completions.create(**asking):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
    whole = client(url).chat.completions.create(**FIXED)
    assert text == whole.choices[0].message.content, (text, whole)
    return text, reason, usage


@case
def chat_events(url: str) -> Any:
    asking = {**FIXED, "max_tokens": CALL_TOKENS}
    with client(url).chat.completions.stream(**asking) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion().choices[0]
    return sorted(kinds), final.message.content, final.finish_reason


@case
def chats_at_once(url: str) -> Any:
    async def ask(through: openai.AsyncOpenAI) -> Any:
        answers = [through.chat.completions.create(**FIXED) for _ in range(3)]
        return [answer.choices[0].message.content for answer in await asyncio.gather(*answers)]

    said = asynchronously(url, ask)
    assert len(set(said)) == 1, said
    return said


@case
def chat_stream_async(url: str) -> Any:
    async def ask(through: openai.AsyncOpenAI) -> str:
        text = ""
        async for chunk in await through.chat.completions.create(**FIXED, stream=True):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        return text

    return asynchronously(url, ask)


@case
def roles_and_parts(url: str) -> Any:
    parts = [{"type": "text", "text": "How should I "}, {"type": "text", "text": "treat him?"}]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "name": "ann", "content": "I have a neighbour."},
        {"role": "assistant", "content": "I see.", "refusal": None},
        {"role": "user", "content": parts},
    ]
    return client(url).chat.completions.create(**{**FIXED, "messages": messages})


@case
def two_choices(url: str) -> Any:
    asking = {**FIXED, "n": 2}
    answer = client(url).chat.completions.create(**asking)
    texts = [choice.message.content for choice in answer.choices]
    streams = [""] * len(texts)
    for chunk in client(url).chat.completions.create(**asking, stream=True):
        for choice in chunk.choices:
            streams[choice.index] += choice.delta.content or ""
    assert sorted(streams) == sorted(text or "" for text in texts), (streams, texts)
    return sorted(streams)


@case
def log_probabilities(url: str) -> Any:
    answer = client(url).chat.completions.create(**FIXED, logprobs=True, top_logprobs=2)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None and logprobs.content, answer
    return [token.token for token in logprobs.content]


@case
def call(url: str) -> Any:
    choice = client(url).chat.completions.create(**CALLING).choices[0]
    if not choice.message.tool_calls:
        raise NoCallError
    assert choice.finish_reason == "tool_calls", choice
    function = choice.message.tool_calls[0].function
    assert isinstance(json.loads(function.arguments)["city"], str), choice
    name, arguments = "", ""
    for chunk in client(url).chat.completions.create(**CALLING, stream=True):
        for delta in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            assert delta.index == 0, chunk
            name += delta.function.name or ""
            arguments += delta.function.arguments or ""
    assert name == "weather" and json.loads(arguments) == json.loads(function.arguments), arguments
    with client(url).chat.completions.stream(**CALLING) as stream:
        (made,) = [
            call.function
            for call in stream.get_final_completion().choices[0].message.tool_calls or []
        ]
    assert json.loads(made.arguments) == json.loads(arguments), made
    return choice.finish_reason, made.parsed_arguments


@case
def result_of_a_call(url: str) -> Any:
    through = client(url)
    asked = through.chat.completions.create(**CALLING).choices[0].message
    result = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "Sunny."}
    history = [*MESSAGES, asked, result]
    return through.chat.completions.create(**{**FIXED, "messages": history, "tools": TOOLS})


@case
def parse(url: str) -> Any:
    asking = {**FIXED, "max_tokens": CALL_TOKENS, "response_format": Advice}
    answer = client(url).chat.completions.parse(**asking).choices[0].message
    assert isinstance(answer.parsed, Advice), answer

    async def ask(through: openai.AsyncOpenAI) -> Any:
        return await through.chat.completions.parse(**asking)

    assert asynchronously(url, ask).choices[0].message.parsed == answer.parsed
    return answer.parsed


@case
def json_object(url: str) -> Any:
    fields = {"max_tokens": CALL_TOKENS, "response_format": {"type": "json_object"}}
    return client(url).chat.completions.create(**{**FIXED, **fields}).choices[0]


@case
def completion(url: str) -> Any:
    asking: dict[str, Any] = {"model": MODEL, "prompt": "The neighbour said", "max_tokens": 16}
    whole = client(url).completions.create(**asking, temperature=0)
    stream = client(url).completions.create(**asking, temperature=0, stream=True)
    text = "".join(choice.text for chunk in stream for choice in chunk.choices)
    assert text == whole.choices[0].text, (text, whole)
    return whole


@case
def response(url: str) -> Any:
    whole = client(url).responses.create(**RESPONSE)
    assert whole.output_text and whole.usage and whole.usage.output_tokens > 0, whole
    text, final = response_stream(client(url))
    assert final.output_text == text == whole.output_text, (final, whole)

    async def ask(through: openai.AsyncOpenAI) -> Any:
        return await through.responses.create(**RESPONSE)

    assert asynchronously(url, ask).output_text == whole.output_text
    return whole.output_text, whole.status, whole.usage


@case
def response_events(url: str) -> Any:
    text = ""
    with client(url).responses.stream(**RESPONSE) as stream:
        for event in stream:
            text += event.delta if event.type == "response.output_text.delta" else ""
    return text


@case
def response_parsed(url: str) -> Any:
    asking = {**RESPONSE, "max_output_tokens": CALL_TOKENS, "text_format": Advice}
    return client(url).responses.parse(**asking).output_parsed


@case
def response_that_calls(url: str) -> Any:
    through = client(url)
    asking = {**RESPONSE, "max_output_tokens": CALL_TOKENS, "tools": RESPONSE_TOOLS}
    asked = through.responses.create(**asking, tool_choice="required")
    (called,) = [item for item in asked.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": called.call_id, "output": "Sunny."}
    history: list[Any] = [{"role": "user", "content": QUESTION}, called, result]
    answer = through.responses.create(**{**RESPONSE, "input": history, "tools": RESPONSE_TOOLS})
    return json.loads(called.arguments), answer.output_text


@case
def embedding(url: str) -> Any:
    # The client asks for base64 by itself.
    answer = client(url).embeddings.create(model=MODEL, input=["The sea.", "A neighbour."])
    assert len(answer.data) == 2 and len(answer.data[0].embedding) > 9, answer
    return [[round(number, 4) for number in one.embedding[:8]] for one in answer.data]


@case
def stream_that_is_left(url: str) -> Any:
    through = client(url)
    stream = through.chat.completions.create(**{**FIXED, "max_tokens": 1500}, stream=True)
    with stream:
        next(iter(stream))
    return through.chat.completions.create(**FIXED).choices[0].message.content


@case
def errors(url: str) -> Any:
    through = client(url)
    kinds = []
    odd = {"response_format": {"type": "odd"}}
    wrong: list[Any] = [{"messages": "Hi"}, odd]
    for fields in wrong:
        try:
            through.chat.completions.create(**{**FIXED, **fields})
            kinds.append("taken")
        except openai.APIStatusError as error:
            kinds.append(type(error).__name__)
    return kinds


def response_stream(through: openai.OpenAI) -> tuple[str, Any]:
    """The text of a streamed response, and the response that its last event has."""
    text, final = "", None
    for event in through.responses.create(**RESPONSE, stream=True):
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type in ("response.completed", "response.incomplete"):
            final = event.response
    assert final is not None
    return text, final


def finished(choice: Any) -> tuple[str, str]:
    """All words of a choice, and how it ended."""
    calls = choice.message.tool_calls or []
    words = [choice.message.content or "", *(call.function.arguments for call in calls)]
    return "".join(words), choice.finish_reason


def stopped(url: str, text: str) -> Ends:
    """What becomes of answers past a threshold, with what it must be."""
    through, cut = client(url), (text, "content_filter")
    found: Ends = {}
    for name, asking in [("chat", FIXED), ("call", CALLING)]:
        found[name] = (finished(through.chat.completions.create(**asking).choices[0]), cut)

        async def ask(through: openai.AsyncOpenAI, asking: dict[str, Any] = asking) -> Any:
            return await through.chat.completions.create(**asking)

        found[f"{name}, async"] = (finished(asynchronously(url, ask).choices[0]), cut)
    for name, asking in [("chat", FIXED), ("call", CALLING)]:
        words, reason = "", None
        for chunk in through.chat.completions.create(**asking, stream=True):
            for choice in chunk.choices:
                calls = choice.delta.tool_calls or []
                words += choice.delta.content or ""
                words += "".join(call.function.arguments or "" for call in calls)
                reason = choice.finish_reason or reason
        found[f"{name}, streamed"] = ((words, reason), cut)
    # The client raises what it has for this. As it reads parts of JSON while they come, a text in
    # place of one is a ValueError.
    parsing = {**FIXED, "max_tokens": CALL_TOKENS, "response_format": Advice}
    for name, parses in [
        ("parse", through.chat.completions.parse),
        ("parse, streamed", lambda **asking: streamed_to_end(through, asking)),
    ]:
        try:
            found[name] = (parses(**parsing), "raises")
        except (openai.ContentFilterFinishReasonError, ValueError):
            found[name] = ("raises", "raises")
    two = through.chat.completions.create(**{**FIXED, "n": 2}).choices
    found["two choices"] = ([finished(choice) for choice in two], [cut] * len(two))
    answer = through.completions.create(model=MODEL, prompt="The neighbour said", max_tokens=16)
    found["completion"] = ((answer.choices[0].text, answer.choices[0].finish_reason), cut)
    _, final = response_stream(through)
    incomplete = (text, "incomplete", "content_filter")
    for name, made in [
        ("response", through.responses.create(**RESPONSE)),
        ("response, streamed", final),
    ]:
        details = made.incomplete_details
        found[name] = ((made.output_text, made.status, details and details.reason), incomplete)
    return found


def streamed_to_end(through: openai.OpenAI, asking: dict[str, Any]) -> Any:
    with through.chat.completions.stream(**asking) as stream:
        return stream.get_final_completion()


def unchanged(url: str) -> dict[str, Any]:
    return case.run(url)


def asked(url: str, is_proxy: bool) -> Ends:
    """What the guard is asked by the client's `extra_body`, and refuses, under a policy."""
    through = client(url)
    scores: dict[str, Any] = {"extra_body": {"personaguard": {"scores": True}}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    looking: list[Any] = [{"role": "user", "content": [image]}]
    beyond = {"personaguard": {"traits": {"evil": {"max": 2e6}}}}
    # Placement Proxy tells no scores.
    told = "BadRequestError" if is_proxy else [float]
    found: Ends = {}
    for name, fields, wanted in [
        ("scores", scores, told),
        ("scores, streamed", {**scores, "stream": True}, told),
        ("an image", {"messages": looking}, "BadRequestError"),
        ("a looser threshold", {"extra_body": beyond}, "PermissionDeniedError"),
    ]:
        try:
            answer = through.chat.completions.create(**{**FIXED, **fields})
            *_, last = answer if "stream" in fields else [answer]
            report = (last.model_extra or {}).get("personaguard") or {}
            measured = [type(score["response_avg"]) for score in report.get("scores", [])]
            found[name] = (measured, wanted)
        except openai.APIStatusError as error:
            found[name] = (type(error).__name__, wanted)
    return found
