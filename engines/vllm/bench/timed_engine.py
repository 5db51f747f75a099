"""One engine in a process of its own, which is told what to compute and answers how long it took.

timed_engine.py SOCKET, where the program that started it (`paired.py`) listens.
"""

import json
import os
import random
import sys
import time
from multiprocessing.connection import Client
from typing import Any

# The engine's work is timed in this process; no other one takes part in it.
os.environ.update(
    HF_HUB_OFFLINE="1",
    VLLM_ENABLE_V1_MULTIPROCESSING="0",
    VLLM_NO_USAGE_STATS="1",
)
os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

PLAN = "personaguard"
STEERED = {"slot": 0, "add": 0.05, "positions": "response"}


def main() -> None:
    with Client(sys.argv[1]) as parent:
        options: dict[str, Any] = parent.recv()
        from vllm import LLM

        llm = LLM(**options)
        parent.send(llm.llm_engine.model_config.get_vocab_size())
        while (task := parent.recv()) is not None:
            in_turns = task.pop("in_turns", False)
            has_plugin = task["plan_set"] is not None
            if in_turns and not has_plugin:
                # The engine says which requests have ended when it begins the next ones: the plugin
                # has to hear it.
                _begin(llm.llm_engine, [[1, 2, 3]], 1, None, f"{task['name']}-before")
                _times(llm.llm_engine, [[]])
            _begin(llm.llm_engine, **task)
            if in_turns:
                given = task["prompts"], task["tokens"], has_plugin
                parent.send(_in_turns(llm.llm_engine, Plugin(llm), *given))
            else:
                parent.send(_times(llm.llm_engine, task["prompts"]))


class Plugin:
    """The plugin in this engine (first model runner, eager): it can be taken out and put back."""

    WRAPPED = ("execute_model", "_model_forward", "_dummy_run", "_sample")

    def __init__(self, llm: Any) -> None:
        runners: list[Any] = []
        llm.collective_rpc(lambda worker: runners.append(worker.model_runner))
        (self._runner,) = runners
        own = vars(self._runner)
        self._methods = {name: own[name] for name in self.WRAPPED if name in own}
        modules = self._runner.get_model().modules()
        tapped = [module for module in modules if hasattr(module, "personaguard")]
        self._blocks = [(block, type(block), type(block).__mro__[1]) for block in tapped]

    def put_in(self) -> None:
        vars(self._runner).update(self._methods)
        for block, tapped, _ in self._blocks:
            block.__class__ = tapped

    def take_out(self) -> None:
        """The engine is stock vLLM again, in the same memory."""
        for name in self._methods:
            del vars(self._runner)[name]
        for block, _, plain in self._blocks:
            block.__class__ = plain


def _begin(
    engine: Any, prompts: list[list[int]], tokens: int, plan_set: int | None, name: str
) -> None:
    """Adds a request for each prompt. With a set, all are measured, and the first is steered."""
    from vllm import SamplingParams

    for number, prompt in enumerate(prompts):
        extra = None
        if plan_set is not None:
            changes = [STEERED] if number == 0 else []
            plan = {"id": f"{name}-{number}", "set": str(plan_set), "changes": changes}
            extra = {PLAN: json.dumps(plan)}
        parameters = SamplingParams(
            temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False, extra_args=extra
        )
        engine.add_request(f"{name}-{number}", {"prompt_token_ids": prompt}, parameters)


def _step(engine: Any, written: dict[str, int]) -> float:
    begun = time.perf_counter()
    outputs = engine.step()
    took = time.perf_counter() - begun
    for output in outputs:
        written[output.request_id] = len(output.outputs[0].token_ids)
    return took


def _times(engine: Any, prompts: list[list[int]]) -> tuple[list[float], list[float]]:
    """Seconds of each step: those in which prompts are read, and those after them."""
    written: dict[str, int] = {}
    reading: list[float] = []
    writing: list[float] = []
    while engine.has_unfinished_requests():
        times = writing if len(written) == len(prompts) else reading
        times.append(_step(engine, written))
    return reading, writing


def _in_turns(
    engine: Any, plugin: Plugin, prompts: list[list[int]], tokens: int, has_plugin: bool
) -> tuple[float, list[tuple[float, float]]]:
    """Seconds to read the prompts, with the plugin or without it. If with it, also seconds of the
    steps that follow: pairs of neighbours, with it and without it, in random order."""
    written: dict[str, int] = {}
    reading, pairs = 0.0, []
    if not has_plugin:
        plugin.take_out()
    while engine.has_unfinished_requests() and len(written) < len(prompts):
        reading += _step(engine, written)
    if has_plugin:
        # The first one and the last ones are not like the others.
        _step(engine, written)
        for _ in range((tokens - max(written.values()) - 2) // 2):
            took = {}
            for is_in in random.sample((True, False), 2):
                if not is_in:
                    plugin.take_out()
                took[is_in] = _step(engine, written)
                if not is_in:
                    plugin.put_in()
            pairs.append((took[True], took[False]))
    else:
        plugin.put_in()
    while engine.has_unfinished_requests():
        _step(engine, written)
    return reading, pairs


if __name__ == "__main__":
    main()
