"""Follows the steps of the second model runner, by the state that it keeps for the model.

`prepare_inputs` of that state is called before each forward pass, also before one that replays a
full CUDA graph.
"""

from collections.abc import Iterator
from typing import Any

from personaguard_vllm.guard import Guard
from personaguard_vllm.steps import Scheduled, new_requests


def attach(runner: Any, guard: Guard) -> None:
    """Wraps this runner, the state of its model, and its sampler."""
    execute = runner.execute_model

    def execute_model(scheduler_output: Any, *arguments: Any, **named: Any) -> Any:
        if not named.get("dummy_run", False):
            guard.schedule(scheduler_output.finished_req_ids, new_requests(scheduler_output))
        output = execute(scheduler_output, *arguments, **named)
        guard.finish()
        return output

    runner.execute_model = execute_model
    runner.model_state.personaguard = guard
    runner.model_state.__class__ = _following(type(runner.model_state))
    if runner.sampler is not None:
        runner.sampler.personaguard = guard
        runner.sampler.__class__ = _ending(type(runner.sampler))


def _following(kind: Any) -> type:
    """The class of the model's state, which tells the guard of each forward pass."""

    def prepare_inputs(self: Any, input_batch: Any, req_states: Any) -> dict[str, Any]:
        # Batches of a dummy run have requests that nobody knows: nothing is read or changed.
        self.personaguard.prepare(_scheduled(input_batch), int(input_batch.num_tokens))
        return kind.prepare_inputs(self, input_batch, req_states)

    return type(f"Guarded{kind.__name__}", (kind,), {"prepare_inputs": prepare_inputs})


def _scheduled(batch: Any) -> Iterator[Scheduled]:
    starts = batch.query_start_loc_np.tolist()
    firsts = batch.num_computed_tokens_np.tolist()
    for number, engine_id in enumerate(batch.req_ids):
        start, end = starts[number], starts[number + 1]
        yield Scheduled(engine_id, start, end - start, firsts[number])


def _ending(kind: Any) -> type:
    """The class of the sampler, which ends requests at the sidecar's word."""

    def call(self: Any, logits: Any, input_batch: Any, *arguments: Any, **named: Any) -> Any:
        output = kind.__call__(self, logits, input_batch, *arguments, **named)
        self.personaguard.end(input_batch.req_ids, output.sampled_token_ids)
        return output

    return type(f"Guarded{kind.__name__}", (kind,), {"__call__": call})
