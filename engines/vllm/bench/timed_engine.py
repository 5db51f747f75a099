"""One engine in a process of its own, which is told what to compute and answers how long it took.

timed_engine.py SOCKET, where the program that started it (`paired.py`) listens.
"""

import json
import os
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
            parent.send(_run(llm.llm_engine, **task))


def _run(
    engine: Any, prompts: list[list[int]], tokens: int, plan_set: int | None, name: str
) -> tuple[list[float], list[float]]:
    """Seconds of each step: those in which prompts are read, and those after them."""
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
    written: dict[str, int] = {}
    reading: list[float] = []
    writing: list[float] = []
    while engine.has_unfinished_requests():
        times = writing if len(written) == len(prompts) else reading
        begin = time.perf_counter()
        outputs = engine.step()
        times.append(time.perf_counter() - begin)
        for output in outputs:
            written[output.request_id] = len(output.outputs[0].token_ids)
    return reading, writing


if __name__ == "__main__":
    main()
