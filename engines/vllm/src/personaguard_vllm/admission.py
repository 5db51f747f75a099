"""Refuses a plan where its request comes in, so that whoever sent it sees why."""

import functools
from typing import Any

from vllm.exceptions import VLLMValidationError
from vllm.sampling_params import SamplingParams

from personaguard_vllm import store
from personaguard_vllm.plan import PLAN, PlanError, parse
from personaguard_vllm.settings import STATES, states_allowed


def check(parameters: Any) -> None:
    """Checks a request's plan, if it has one.

    Raises:
        VLLMValidationError: the plan cannot be followed. The client gets the sentence.
    """
    if not isinstance(parameters, SamplingParams) or PLAN not in (parameters.extra_args or {}):
        return
    try:
        plan = parse((parameters.extra_args or {})[PLAN])
        if parameters.n != 1:
            raise PlanError("a request with a plan asks for one choice: all would have its id")
        if plan.states and not states_allowed():
            raise PlanError(f"`states` needs an engine that was started with {STATES}=1")
        if plan.set_number is not None and not store.has(plan.set_number):
            raise PlanError(f"the set of vectors {plan.set_number} is not loaded")
    except PlanError as error:
        raise VLLMValidationError(f"personaguard: {error}", parameter="vllm_xargs") from error


def install(processor: type) -> None:
    """Wraps what checks each request in `vllm.v1.engine.input_processor.InputProcessor`."""
    checked: Any = processor
    original = checked._validate_params

    @functools.wraps(original)
    def validate(self: Any, params: Any, *arguments: Any, **named: Any) -> Any:
        check(params)
        return original(self, params, *arguments, **named)

    checked._validate_params = validate
