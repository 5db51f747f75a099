"""The second model runner's seam, with objects that stand for vLLM's.

That runner needs Triton, which has no backend for processors in these packages: it is not run here.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from personaguard_vllm import buffers
from personaguard_vllm.buffers import Count
from personaguard_vllm.frames import Part
from personaguard_vllm.guard import Guard
from personaguard_vllm.store import Store
from personaguard_vllm.v2.runner import attach
from personaguard_vllm.vectors import Vector, encode

HIDDEN = 4


class _State:
    def prepare_inputs(self, input_batch: Any, req_states: Any) -> dict[str, Any]:
        del input_batch, req_states
        return {"given": 1}


class _Sampler:
    def __call__(self, logits: torch.Tensor, input_batch: Any) -> Any:
        del input_batch
        return SimpleNamespace(sampled_token_ids=logits.argmax(-1, keepdim=True))


class _Runner:
    """Calls in the order of vLLM's: the scheduler's output, the inputs, the pass, the sampler."""

    def __init__(self, guard: Guard) -> None:
        self.model_state = _State()
        self.sampler = _Sampler()
        self._guard = guard
        self.batch: Any = None

    def execute_model(self, scheduler_output: Any, dummy_run: bool = False) -> None:
        del scheduler_output, dummy_run
        assert self.model_state.prepare_inputs(self.batch, None) == {"given": 1}
        # What the operator would do.
        shared = self._guard.buffers
        rows = shared.rows[: int(shared.counts[Count.ROWS])]
        shared.readings[rows] = rows.float().unsqueeze(1)


def _batch(*requests: tuple[str, int, int]) -> Any:
    starts = np.cumsum([0, *(count for _, _, count in requests)])
    return SimpleNamespace(
        req_ids=[name for name, _, _ in requests],
        query_start_loc_np=starts,
        num_computed_tokens_np=np.array([first for _, first, _ in requests]),
        num_tokens=int(starts[-1]),
    )


def _output(ended: set[str], *new: tuple[str, int, str | None]) -> Any:
    requests = [
        SimpleNamespace(
            req_id=name,
            prompt_len=prompt,
            sampling_params=SimpleNamespace(
                ignore_eos=False,
                min_tokens=0,
                eos_token_id=2,
                extra_args=text
                and {"personaguard": json.dumps({"id": text, "set": "1", "changes": []})},
            ),
        )
        for name, prompt, text in new
    ]
    return SimpleNamespace(finished_req_ids=ended, scheduled_new_reqs=requests)


def test_steps_are_followed_and_told(tmp_path: Path) -> None:
    store = Store(tmp_path, HIDDEN, (1,))
    store.put(encode(1, [Vector(1, np.ones(HIDDEN, dtype=np.float32).tobytes())]))
    guard = Guard(buffers.make(1, HIDDEN, 4, 16, torch.device("cpu")), store, (1,))
    runner: Any = _Runner(guard)
    attach(runner, guard)
    told: list[Part] = []
    guard.watch(told.extend)

    # A prompt of five tokens in chunks of three, beside a request of nobody.
    runner.batch = _batch(("x", 0, 2), ("a", 0, 3))
    runner.execute_model(_output(set(), ("x", 2, None), ("a", 5, "own")))
    assert told == []
    runner.batch = _batch(("a", 3, 2), ("x", 2, 1))
    runner.execute_model(_output(set()))
    assert [(part.id, part.prompt, part.first, part.readings.tolist()) for part in told] == [
        ("own", 5, 4, [[1.0]])
    ]
    # After preemption it comes anew, with the response in what is computed at once.
    told.clear()
    runner.batch = _batch(("a", 0, 7))
    runner.execute_model(_output({"x"}, ("a", 5, "own")))
    assert [(part.first, part.readings.ravel().tolist()) for part in told] == [(4, [4.0, 5.0, 6.0])]
    assert guard.requests.foreign == 1
    # A dummy run has requests that nobody knows.
    told.clear()
    runner.batch = _batch(("dummy", 0, 3))
    runner.execute_model(_output(set()), dummy_run=True)
    assert told == []
    assert int(guard.buffers.counts[Count.ROWS]) == 0

    logits = torch.zeros(2, 9)
    logits[:, 7] = 1
    batch = _batch(("x", 4, 1), ("a", 7, 1))
    assert runner.sampler(logits, batch).sampled_token_ids.tolist() == [[7], [7]]
    guard.endings.add("own")
    assert runner.sampler(logits, batch).sampled_token_ids.tolist() == [[7], [2]]
    guard.schedule(["a"], [])
    assert runner.sampler(logits, batch).sampled_token_ids.tolist() == [[7], [7]]
