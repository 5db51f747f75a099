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
    end: int | None
    """The token that ends it at any time; `None` if none does."""


@dataclass(slots=True)
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
        parameters = data.sampling_params
        extra = getattr(parameters, "extra_args", None)
        yield New(data.req_id, data.prompt_len, extra, _end(parameters))


def _end(parameters: Any) -> int | None:
    """A token that is made the next one must also end the request. Otherwise only one of several
    workers would go on from it, and what they computed then would not fit together."""
    if parameters is None or parameters.ignore_eos or parameters.min_tokens:
        return None
    end: int | None = parameters.eos_token_id
    return end
