"""Anthropic's own client: messages, plain, streamed and asynchronous."""

from typing import Any, Literal

import anthropic
from cases import CALL_TOKENS, MAX_TOKENS, MESSAGES, SCHEMA, Cases, Ends, NoCallError, wait
from pydantic import BaseModel
from servers import KEY, MODEL

PACKAGES = ("anthropic",)
FIXED: dict[str, Any] = {
    "model": MODEL,
    "messages": MESSAGES,
    "max_tokens": MAX_TOKENS,
    "extra_body": {"temperature": 0},
}
TOOLS: list[Any] = [{"name": "weather", "description": "Tells the weather", "input_schema": SCHEMA}]
CALLING: dict[str, Any] = {
    **FIXED,
    "max_tokens": CALL_TOKENS,
    "tools": TOOLS,
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
}
case = Cases()


class Advice(BaseModel):
    tone: Literal["kind", "unkind"]


def client(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key=KEY, timeout=300)


def said(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


@case
def message(url: str) -> Any:
    answer = client(url).messages.with_raw_response.create(**FIXED)
    assert answer.retries_taken == 0, answer.headers
    made = answer.parse()
    assert said(made) and made.usage.output_tokens > 0, made
    return made


@case
def message_async(url: str) -> Any:
    async def ask() -> Any:
        async with anthropic.AsyncAnthropic(base_url=url, api_key=KEY, timeout=300) as through:
            text = ""
            async with through.messages.stream(**FIXED) as stream:
                async for piece in stream.text_stream:
                    text += piece
            whole = await through.messages.create(**FIXED)
            assert text == said(whole), (text, whole)
            return whole

    return wait(ask())


@case
def message_stream(url: str) -> Any:
    with client(url).messages.stream(**FIXED) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_message()
    text = ""
    for event in client(url).messages.create(**FIXED, stream=True):
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            text += event.delta.text
    assert text == said(final), (text, final)
    return sorted(kinds), text, final.stop_reason, final.usage.output_tokens


@case
def system_and_blocks(url: str) -> Any:
    def blocks(text: str) -> Any:
        return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]

    history: list[Any] = [
        {"role": "user", "content": blocks("I have a neighbour.")},
        {"role": "assistant", "content": blocks("I see.")},
        {"role": "user", "content": blocks("How should I treat him?")},
    ]
    fields = {"messages": history, "system": blocks("Be kind."), "metadata": {"user_id": "ann"}}
    return client(url).messages.create(**{**FIXED, **fields})


@case
def call_and_result(url: str) -> Any:
    asked = client(url).messages.create(**CALLING)
    called = next((block for block in asked.content if block.type == "tool_use"), None)
    if called is None:
        raise NoCallError
    assert asked.stop_reason == "tool_use" and isinstance(called.input["city"], str), asked
    with client(url).messages.stream(**CALLING) as stream:
        (streamed,) = [b for b in stream.get_final_message().content if b.type == "tool_use"]
    assert streamed.input == called.input, (streamed, called)
    result = {"type": "tool_result", "tool_use_id": called.id, "content": "Sunny."}
    history: list[Any] = [
        *MESSAGES,
        {"role": "assistant", "content": asked.content},
        {"role": "user", "content": [result]},
    ]
    answer = client(url).messages.create(**{**FIXED, "messages": history, "tools": TOOLS})
    return called.input, said(answer), answer.stop_reason


@case
def parse(url: str) -> Any:
    asking = {**FIXED, "max_tokens": CALL_TOKENS, "output_format": Advice}
    return client(url).messages.parse(**asking).parsed_output


@case
def stop_sequences(url: str) -> Any:
    return said(client(url).messages.create(**FIXED, stop_sequences=["END", ","]))


@case
def count(url: str) -> Any:
    return client(url).messages.count_tokens(model=MODEL, messages=MESSAGES).input_tokens


@case
def stream_that_is_left(url: str) -> Any:
    with client(url).messages.stream(**{**FIXED, "max_tokens": 1500}) as stream:
        next(iter(stream.text_stream))
    return said(client(url).messages.create(**FIXED))


@case
def errors(url: str) -> Any:
    asking: dict[str, Any] = {**FIXED, "messages": [{"role": "user"}]}
    try:
        return client(url).messages.create(**asking)
    except anthropic.APIStatusError as error:
        return type(error).__name__


def stopped(url: str, text: str) -> Ends:
    """What becomes of answers past a threshold, with what it must be."""
    through, cut = client(url), (text, "refusal")

    def all_words(message: Any) -> tuple[str, str]:
        calls = "".join(str(block.input) for block in message.content if block.type == "tool_use")
        return said(message) + calls, message.stop_reason

    async def ask() -> Any:
        async with anthropic.AsyncAnthropic(base_url=url, api_key=KEY, timeout=300) as through:
            return await through.messages.create(**FIXED)

    found = {"message, async": (all_words(wait(ask())), cut)}
    for name, asking in [("message", FIXED), ("call", CALLING)]:
        found[name] = (all_words(through.messages.create(**asking)), cut)
        with through.messages.stream(**asking) as stream:
            found[f"{name}, streamed"] = (all_words(stream.get_final_message()), cut)
    return found


def unchanged(url: str) -> dict[str, Any]:
    return case.run(url)
