"""LangChain's chat models: of OpenAI, by either of its APIs, and of Anthropic."""

from typing import Any, Literal

from cases import CALL_TOKENS, MAX_TOKENS, QUESTION, Cases, Ends, attempt, wait
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr
from servers import KEY, MODEL

PACKAGES = ("langchain", "langchain-openai", "langchain-anthropic")
case = Cases()


class Advice(BaseModel):
    """Advice on how to treat somebody."""

    tone: Literal["kind", "unkind"]


@tool
def weather(city: str) -> str:
    """Tells the weather."""
    return f"Sunny in {city}."


def chats(url: str, most: int = MAX_TOKENS, responses: bool = False) -> Any:
    return ChatOpenAI(
        base_url=f"{url}/v1",
        api_key=SecretStr(KEY),
        model=MODEL,
        temperature=0,
        max_tokens=most,  # type: ignore[call-arg, unused-ignore]
        use_responses_api=responses,
        # Only of OpenAI's own server does it ask for this by itself.
        stream_usage=True,
    )


def messages(url: str, most: int = MAX_TOKENS) -> Any:
    return ChatAnthropic(  # type: ignore[call-arg, unused-ignore]
        base_url=url, api_key=SecretStr(KEY), model=MODEL, temperature=0, max_tokens=most
    )


def models(url: str, most: int = MAX_TOKENS) -> dict[str, Any]:
    return {
        "chat": chats(url, most),
        "response": chats(url, most, responses=True),
        "message": messages(url, most),
    }


def ending(message: Any) -> Any:
    metadata = message.response_metadata
    return metadata.get("finish_reason") or metadata.get("stop_reason") or metadata.get("status")


def ask_every_way(model: Any) -> Any:
    whole = model.invoke([SystemMessage("Be kind."), HumanMessage(QUESTION)])
    assert whole.text and whole.usage_metadata["output_tokens"] > 0, whole
    parts = None
    for chunk in model.stream([SystemMessage("Be kind."), HumanMessage(QUESTION)]):
        parts = chunk if parts is None else parts + chunk
    assert parts is not None and parts.text == whole.text, (parts, whole)
    usage = [made.usage_metadata["total_tokens"] for made in (parts, whole)]
    assert usage[0] == usage[1], (parts, whole)

    async def later() -> Any:
        text = ""
        async for chunk in model.astream([SystemMessage("Be kind."), HumanMessage(QUESTION)]):
            text += chunk.text
        return text, (await model.ainvoke([SystemMessage("Be kind."), HumanMessage(QUESTION)])).text

    assert wait(later()) == (whole.text, whole.text)
    return whole.text, ending(whole), usage


@case
def chat(url: str) -> Any:
    return ask_every_way(chats(url))


@case
def response(url: str) -> Any:
    return ask_every_way(chats(url, responses=True))


@case
def message(url: str) -> Any:
    return ask_every_way(messages(url))


@case
def batch(url: str) -> Any:
    said = [answer.text for answer in chats(url).batch([QUESTION] * 2)]
    assert said[0] == said[1], said
    return said


def call_and_result(model: Any) -> Any:
    asked = model.bind_tools([weather], tool_choice="any").invoke(QUESTION)
    called = asked.tool_calls[0]
    result = ToolMessage(weather.invoke(called["args"]), tool_call_id=called["id"])
    answer = model.bind_tools([weather]).invoke([HumanMessage(QUESTION), asked, result])
    return called["name"], called["args"], answer.text


@case
def call_in_a_chat(url: str) -> Any:
    return call_and_result(chats(url, CALL_TOKENS))


@case
def call_in_a_response(url: str) -> Any:
    return call_and_result(chats(url, CALL_TOKENS, responses=True))


@case
def call_in_a_message(url: str) -> Any:
    return call_and_result(messages(url, CALL_TOKENS))


@case
def structured(url: str) -> Any:
    found = {}
    for name, model in models(url, CALL_TOKENS).items():
        for method in ("json_schema", "function_calling"):
            advice = model.with_structured_output(Advice, method=method).invoke(QUESTION)
            assert isinstance(advice, Advice), (name, method, advice)
            found[f"{name} {method}"] = advice.tone
    return found


@case
def embeddings(url: str) -> Any:
    embed = OpenAIEmbeddings(
        base_url=f"{url}/v1",
        api_key=SecretStr(KEY),
        model=MODEL,
        # It would fetch the tokenizer of one of OpenAI's models.
        check_embedding_ctx_length=False,
    )
    return [round(number, 4) for number in embed.embed_query("The sea.")[:8]]


def stopped(url: str, text: str) -> Ends:
    """What becomes of answers past a threshold, with what it must be."""
    reasons = {"chat": "content_filter", "response": "incomplete", "message": "refusal"}
    found: Ends = {}
    for name, model in models(url).items():
        whole = model.invoke(QUESTION)
        found[name] = ((whole.text, ending(whole)), (text, reasons[name]))

        def stream(model: Any = model) -> str:
            return "".join(chunk.text for chunk in model.stream(QUESTION))

        found[f"{name}, streamed"] = (attempt(stream), text)
        later = wait(model.ainvoke(QUESTION))
        found[f"{name}, async"] = (later.text, text)
        asked = model.bind_tools([weather], tool_choice="any").invoke(QUESTION)
        found[f"call in a {name}"] = ((asked.text, asked.tool_calls), (text, []))
    return found


def unchanged(url: str) -> dict[str, Any]:
    return case.run(url)
