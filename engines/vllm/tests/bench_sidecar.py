"""What the sidecar in front of vLLM costs: time to the first token, between tokens, and memory.

    PERSONAGUARD_TEST_PROGRAM=…/personaguard PERSONAGUARD_TEST_MODEL=…/SmolLM2.gguf \\
      python bench_sidecar.py [PAIRS]

Each pair asks vLLM itself and then the sidecar, or the other way round, for the same stream; one
engine answers both. Requests that vLLM is asked itself have no plan, so what the plugin costs
within it is in the difference. On a machine of few cores, `OMP_NUM_THREADS=1` and
`VLLM_CPU_OMP_THREADS_BIND=nobind` leave one to all that is not the model.
"""

import json
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from guarded import ASKED, PROGRAM, Guarded, started
from smollm2 import convert

TOKENS = 64
# What waits for what, by policy. Where nothing waits, bytes pass; where tokens wait for their own
# scores, the engine has to read each of them first: a step.
NEVER_PASSED = "threshold: {projection: 1000000}"
POLICIES = {
    "nothing waits (Alert, Open)": (f"{NEVER_PASSED}, action: Alert", "Open"),
    "each token waits for its score (Alert, Closed)": (f"{NEVER_PASSED}, action: Alert", "Closed"),
}


def stream(url: str) -> list[float]:
    """Seconds from the request to each piece of text."""
    body = {"model": "smollm2", **ASKED, "temperature": 0, "stream": True}
    # The same number of tokens each time, and text with most of them.
    body |= {"max_tokens": TOKENS, "min_tokens": TOKENS}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    begun, times = time.perf_counter(), []
    with urllib.request.urlopen(request, timeout=120) as answer:
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            choices = json.loads(line[6:])["choices"]
            if choices and choices[0]["delta"].get("content"):
                times.append(time.perf_counter() - begun)
    assert len(times) > TOKENS // 2, f"{len(times)} pieces of text"
    return times


def between(times: list[float]) -> float:
    return (times[-1] - times[0]) / (len(times) - 1)


def differences(pairs: list[tuple[float, float]]) -> str:
    """The median of what came on top, and the quartiles of that, in milliseconds."""
    added = sorted(1000 * (guarded - alone) for alone, guarded in pairs)
    low, middle, high = statistics.quantiles(added, n=4)
    alone = 1000 * statistics.median(first for first, _ in pairs)
    return f"{middle:+.2f} ms (quartiles {low:+.2f} to {high:+.2f}) on {alone:.2f}"


def measure(found: Guarded, count: int) -> None:
    first: list[tuple[float, float]] = []
    next_: list[tuple[float, float]] = []
    for number in range(count + 2):
        urls = [found.upstream, found.url]
        order = urls if number % 2 == 0 else urls[::-1]
        took = {}
        for url in order:
            took[url] = stream(url)
            # The sidecar may still measure the last token.
            time.sleep(0.5)
        if number < 2:
            continue  # Caches are filled.
        alone, guarded = took[found.upstream], took[found.url]
        first.append((alone[0], guarded[0]))
        next_.append((between(alone), between(guarded)))
    print(f"  to the first token: {differences(first)}")
    print(f"  between tokens:     {differences(next_)}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_NO_USAGE_STATS": "1",
    }
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        given = os.environ.get("PERSONAGUARD_TEST_MODEL_FOLDER")
        model = Path(given) if given else home / "smollm2"
        convert(Path(os.environ["PERSONAGUARD_TEST_MODEL"]), model)
        with started(os.environ[PROGRAM], model, home) as found:
            for name, (rule, failure) in POLICIES.items():
                found.apply(rule, failure)
                # The sidecar looks at the folder every second.
                time.sleep(5)
                print(name)
                measure(found, count)
            print(f"memory of the sidecar, at most: {found.memory() / (1 << 20):.1f} MiB")


if __name__ == "__main__":
    main()
