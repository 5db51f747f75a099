"""Follows the steps of the first model runner."""

from collections.abc import Iterator
from typing import Any

from personaguard_vllm.guard import Guard
from personaguard_vllm.steps import Scheduled, new_requests


def attach(runner: Any, guard: Guard) -> None:
    """Wraps the runner's own methods. Its class, which other runners share, stays as it is."""
    execute, forward, dummy = runner.execute_model, runner._model_forward, runner._dummy_run
    sample = runner._sample
    in_step = False

    def execute_model(scheduler_output: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal in_step
        guard.schedule(scheduler_output.finished_req_ids, new_requests(scheduler_output))
        in_step = True
        try:
            return execute(scheduler_output, *arguments, **named)
        finally:
            in_step = False

    def model_forward(*arguments: Any, **named: Any) -> Any:
        if not in_step:
            guard.skip()
            return forward(*arguments, **named)
        batch = runner.input_batch
        guard.prepare(_scheduled(runner), int(runner.query_start_loc.np[batch.num_reqs]))
        output = forward(*arguments, **named)
        guard.finish()
        return output

    def dummy_run(*arguments: Any, **named: Any) -> Any:
        guard.skip()
        return dummy(*arguments, **named)

    def sampled(*arguments: Any, **named: Any) -> Any:
        output = sample(*arguments, **named)
        guard.end(runner.input_batch.req_ids, output.sampled_token_ids)
        return output

    runner.execute_model = execute_model
    runner._model_forward = model_forward
    runner._dummy_run = dummy_run
    runner._sample = sampled


def _scheduled(runner: Any) -> Iterator[Scheduled]:
    batch, count = runner.input_batch, runner.input_batch.num_reqs
    starts = runner.query_start_loc.np[: count + 1].tolist()
    firsts = batch.num_computed_tokens_cpu[:count].tolist()
    for number, first in enumerate(firsts):
        start, end = starts[number], starts[number + 1]
        yield Scheduled(batch.req_ids[number], start, end - start, first)
