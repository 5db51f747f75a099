"""LiteLLM's client library, by OpenAI's APIs and by Anthropic's."""

import json
import os
from typing import Any, Literal

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it fetches one otherwise, when it is imported
import litellm
from cases import CALL_TOKENS, MAX_TOKENS, MESSAGES, QUESTION, TOOL, Cases, Ends, wait
from pydantic import BaseModel
from servers import KEY, MODEL

PACKAGES = ("litellm",)
litellm.suppress_debug_info = True
TOOLS: list[Any] = [{"type": "function", "function": TOOL}]
case = Cases()


class Advice(BaseModel):
    tone: Literal["kind", "unkind"]


def fixed(url: str, **more: Any) -> dict[str, Any]:
    where = {"model": f"openai/{MODEL}", "api_base": f"{url}/v1", "api_key": KEY}
    how = {"messages": MESSAGES, "max_tokens": MAX_TOKENS, "temperature": 0, "seed": 1}
    return {**where, **how, "timeout": 300, **more}


def by_anthropic(url: str, **more: Any) -> dict[str, Any]:
    where = {"model": f"anthropic/{MODEL}", "api_base": url}
    asking = {key: value for key, value in fixed(url, **where, **more).items() if key != "seed"}
    return {**asking, "drop_params": True}


def calling(**more: Any) -> dict[str, Any]:
    return {"max_tokens": CALL_TOKENS, "tools": TOOLS, "tool_choice": "required", **more}


def joined(stream: Any) -> str:
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    return "".join(pieces)


@case
def chat(url: str) -> Any:
    whole = litellm.completion(**fixed(url))
    assert whole.usage.completion_tokens > 0, whole
    text = joined(litellm.completion(**fixed(url), stream=True))
    assert text == whole.choices[0].message.content, (text, whole)
    return text, whole.choices[0].finish_reason


@case
def chat_async(url: str) -> Any:
    async def ask() -> Any:
        whole = await litellm.acompletion(**fixed(url))
        text = ""
        async for chunk in await litellm.acompletion(**fixed(url), stream=True):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        assert text == whole.choices[0].message.content, (text, whole)
        return text

    return wait(ask())


@case
def two_choices(url: str) -> Any:
    answer = litellm.completion(**fixed(url, n=2))
    return [choice.message.content for choice in answer.choices]


@case
def call_and_result(url: str) -> Any:
    asked = litellm.completion(**fixed(url, **calling())).choices[0].message
    called = asked.tool_calls[0]
    result = {"role": "tool", "tool_call_id": called.id, "content": "Sunny."}
    history = [*MESSAGES, asked, result]
    answer = litellm.completion(**fixed(url, messages=history, tools=TOOLS))
    return json.loads(called.function.arguments), answer.choices[0].message.content


@case
def parse(url: str) -> Any:
    asking = fixed(url, max_tokens=CALL_TOKENS, response_format=Advice)
    content = litellm.completion(**asking).choices[0].message.content
    return Advice.model_validate_json(content)


@case
def response(url: str) -> Any:
    asking = {"model": f"openai/{MODEL}", "input": QUESTION, "max_output_tokens": MAX_TOKENS}
    where = {"api_base": f"{url}/v1", "api_key": KEY}
    return litellm.responses(**asking, **where, temperature=0).output[0].content[0].text


@case
def embedding(url: str) -> Any:
    where = {"api_base": f"{url}/v1", "api_key": KEY}
    answer = litellm.embedding(
        model=f"openai/{MODEL}", input=["The sea."], encoding_format="float", **where
    )
    return [round(number, 4) for number in answer.data[0]["embedding"][:8]]


@case
def message(url: str) -> Any:
    whole = litellm.completion(**by_anthropic(url))
    text = joined(litellm.completion(**by_anthropic(url), stream=True))
    assert text == whole.choices[0].message.content, (text, whole)
    return text, whole.choices[0].finish_reason


@case
def message_that_calls(url: str) -> Any:
    asked = litellm.completion(**by_anthropic(url, **calling())).choices[0].message
    called = asked.tool_calls[0]
    result = {"role": "tool", "tool_call_id": called.id, "content": "Sunny."}
    history = [*MESSAGES, asked, result]
    answer = litellm.completion(**by_anthropic(url, messages=history, tools=TOOLS))
    return json.loads(called.function.arguments), answer.choices[0].message.content


def stopped(url: str, text: str) -> Ends:
    """What becomes of answers past a threshold, with what it must be."""
    cut = (text, "content_filter")
    found: Ends = {}
    for name, asking in [
        ("chat", fixed(url)),
        ("call", fixed(url, **calling())),
        ("message", by_anthropic(url)),
    ]:
        choice = litellm.completion(**asking).choices[0]
        words = (choice.message.content or "") + "".join(
            call.function.arguments for call in choice.message.tool_calls or []
        )
        found[name] = ((words, choice.finish_reason), cut)
        found[f"{name}, streamed"] = (joined(litellm.completion(**asking, stream=True)), text)

    async def ask() -> Any:
        return (await litellm.acompletion(**fixed(url))).choices[0]

    choice = wait(ask())
    found["chat, async"] = ((choice.message.content or "", choice.finish_reason), cut)
    return found


def unchanged(url: str) -> dict[str, Any]:
    return case.run(url)
