"""What the engine's scheduler decides about a step, as far as the plugin needs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class New:
    """A request in the step in which the engine begins it."""

    id: str
    prompt: int
    extra: dict[str, Any] | None


@dataclass(frozen=True)
class Scheduled:
    """Rows of a request in a step."""

    id: str
    start: int
    count: int
    first: int


def new_requests(scheduler_output: Any) -> Iterator[New]:
    """Requests that the scheduler names for the first time, again after preemption (second model
    runner), or with a longer prompt."""
    for data in scheduler_output.scheduled_new_reqs:
        yield New(data.req_id, data.prompt_len, getattr(data.sampling_params, "extra_args", None))


def end_token(config: Any) -> int | None:
    """The token that ends an answer, by the model's configuration; the first of several."""
    end = getattr(config, "eos_token_id", None)
    if isinstance(end, list):
        end = end[0] if end else None
    return end
