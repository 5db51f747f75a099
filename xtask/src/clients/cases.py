"""What is asked by a client, and what it makes of the answers, as values that can be compared.

A case takes the URL of a server and gives a value. What it raises is a value, too, as long as it is
one of the client's own errors; an assertion that fails is not.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Case = Callable[[str], Any]
# What is found past a threshold, and what it must be.
Ends = dict[str, tuple[Any, Any]]
# One for all: clients keep connections for as long as they live, which belong to their loop.
LOOP = asyncio.new_event_loop()

QUESTION = "How should I treat my neighbour? Answer in two sentences."
MESSAGES: list[Any] = [{"role": "user", "content": QUESTION}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: dict[str, Any] = {
    "name": "weather",
    "description": "Tells the weather",
    "parameters": SCHEMA,
}
MAX_TOKENS = 12
CALL_TOKENS = 120

# What differs from answer to answer, or tells how a server went about it.
VOLATILE = {
    "id",
    "call_id",
    "completed_at",
    "created",
    "created_at",
    "first_id",
    "last_id",
    "item_id",
    "obfuscation",
    "prompt_tokens_details",
    "input_tokens_details",
    "system_fingerprint",
    "timings",
    "tool_call_id",
}


def wait(work: Coroutine[Any, Any, Any]) -> Any:
    return LOOP.run_until_complete(work)


class Broken(dict):
    """A case whose own assertion failed."""


class Cases:
    """Cases by the names of their functions."""

    def __init__(self) -> None:
        self.by_name: dict[str, Case] = {}

    def __call__(self, case: Case) -> Case:
        self.by_name[case.__name__.replace("_", " ")] = case
        return case

    def run(self, url: str) -> dict[str, Any]:
        return {name: outcome(case, url) for name, case in self.by_name.items()}


def outcome(case: Case, url: str) -> Any:
    return attempt(lambda: plain(case(url)))


def attempt(work: Callable[[], Any]) -> Any:
    """What it gives, or what it raises."""
    try:
        return work()
    except AssertionError as error:
        return Broken(broken=str(error))
    except Exception as error:
        return {"raised": type(error).__name__, "status": getattr(error, "status_code", None)}


def plain(value: Any) -> Any:
    """Without what differs from answer to answer."""
    if hasattr(value, "model_dump"):
        # Some clients' own types hold values that their own fields do not name.
        value = value.model_dump(mode="json", warnings=False)
    if isinstance(value, dict):
        value = {key: plain(field) for key, field in value.items() if key not in VOLATILE}
        if "cache_read_input_tokens" in value:
            read = [value.pop(key, 0) or 0 for key in ("input_tokens", "cache_read_input_tokens")]
            value["input_tokens"] = sum(read)
        return value
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


class NoCallError(Exception):
    """The server let the model call nothing, though it was told to."""


def raised(value: Any) -> bool:
    return isinstance(value, dict) and "raised" in value


def refused(outcomes: dict[str, Any]) -> list[str]:
    """The names of cases that raised an error."""
    return [name for name, value in outcomes.items() if raised(value)]


def broken(outcomes: dict[str, Any]) -> list[str]:
    """The names of cases whose own assertion failed."""
    return [name for name, value in outcomes.items() if isinstance(value, Broken)]


def same(mine: Any, theirs: Any) -> bool:
    """Whether outcomes are equal. The words of errors need not be: a policy holds them back."""
    if raised(mine) and raised(theirs):
        return all(mine[field] == theirs[field] for field in ("raised", "status"))
    return mine == theirs


def compare(found: dict[str, Any], expected: dict[str, Any], has_upstream: bool) -> list[str]:
    """What is wrong with the outcomes of cases; those of a server without a guard are expected.
    What another project's server breaks by itself has only to stay as broken.
    """
    problems = []
    for name in sorted(found.keys() | expected.keys()):
        mine, theirs = found.get(name), expected.get(name)
        if has_upstream and isinstance(mine, Broken) and isinstance(theirs, Broken):
            continue
        if isinstance(mine, Broken) or isinstance(theirs, Broken) or not same(mine, theirs):
            problems.append(f"{name}: {mine!r}, where without a policy it is {theirs!r}")
    return problems
