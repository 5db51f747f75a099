"""The operator alone, in plain PyTorch: compiled and captured in a CUDA graph.

Its values against the definition, for what is written into the buffers after the capture; and its
time as a share of a decoding step of Qwen2.5-7B's shape. Without a GPU everything is rehearsed at
a small size: nothing is captured, and Triton interprets the kernels.
"""

import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import shapes
import torch

if not torch.cuda.is_available():
    # Read when the kernels are imported.
    os.environ["TRITON_INTERPRET"] = "1"

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / "tests"), str(HERE.parent / "src")]

from decode_step import DecodeStep, backend  # noqa: E402
from personaguard_vllm import buffers, op  # noqa: E402
from personaguard_vllm.plan import Change, Gate, Plan, Positions  # noqa: E402
from personaguard_vllm.rows import Span, plan_step  # noqa: E402
from personaguard_vllm.table import Table  # noqa: E402
from personaguard_vllm.tap import Tap  # noqa: E402
from personaguard_vllm.vectors import Vector  # noqa: E402

reference: Any = importlib.import_module("reference")

SLOTS = 8
BATCHES = (1, 8, 64)
LAYERS = (2, 3)
_CHANGES = (
    Change(0, Positions.RESPONSE, 0.5),
    Change(2, Positions.RESPONSE, None, -0.5, 0.5),
    Change(4, Positions.RESPONSE, -0.25, gate=Gate(6, at_prompt_last=False, above=0.0, until=0.0)),
)


def run(is_rehearsal: bool) -> dict[str, list[dict[str, float]]]:
    """Both, as rows of tables.

    Raises:
        AssertionError: a value is not as defined.
    """
    device = torch.device("cpu" if is_rehearsal else "cuda")
    shape = shapes.TINY if is_rehearsal else shapes.QWEN2_5_7B
    if is_rehearsal:
        # The path that a GPU takes.
        vars(op)["_is_on_gpu"] = lambda _tensor: True
    widths = (64, 96) if is_rehearsal else (3584, 4096)
    batches = (1, 3) if is_rehearsal else BATCHES
    alone = [_alone(width, batch, device) for width in widths for batch in batches]
    step = DecodeStep(shape, max(batches), device)
    shares = [_share(step, shape["hidden_size"], batch, device) for batch in batches]
    return {"alone": alone, "in a step": shares}


def _vectors(width: int) -> tuple[Vector, ...]:
    values = np.random.default_rng(0).normal(size=(SLOTS, width)).astype("<f4")
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return tuple(Vector(LAYERS[slot // 4], row.tobytes()) for slot, row in enumerate(values))


def _table(width: int, batch: int, device: torch.device) -> Table:
    return Table(buffers.make(max(LAYERS), width, batch, batch, device))


def _fill(table: Table, width: int, batch: int, steered: int) -> tuple[int, ...]:
    """Each row is a response's; the first `steered` ones are changed. Gives the columns."""
    spans: list[Span] = []
    columns: tuple[int, ...] = ()
    for row in range(batch):
        plan = Plan(str(row), 1, _CHANGES if row < steered else ())
        columns = table.hold(_vectors(width))
        line = table.add(plan, _vectors(width), columns)
        spans.append(Span(line, row, 1, 9, 5, False, bool(plan.changes)))
    table.write(plan_step(spans, batch, table.buffers.nobody))
    return columns


def captured(function: Callable[[], Any], device: torch.device) -> Callable[[], Any]:
    """Replays what `function` does; on a processor, does it again."""
    function()
    if device.type == "cpu":
        return function
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay


def _alone(width: int, batch: int, device: torch.device) -> dict[str, float]:
    table = _table(width, batch, device)
    taps = [Tap(table.buffers, layer) for layer in LAYERS]
    begin = torch.randn(batch, width, device=device).to(torch.bfloat16)
    rest = torch.randn(batch, width, device=device).to(torch.bfloat16)
    hidden = begin.clone()

    def both() -> None:
        for tap in taps:
            tap(hidden, rest)

    compiled = torch.compile(both, fullgraph=True, dynamic=False, backend=backend(device))
    replay = captured(compiled, device)
    # Written after the capture, as by an engine that runs.
    columns = _fill(table, width, batch, steered=(batch + 1) // 2)
    hidden.copy_(begin)
    replay()
    error = _check(table, columns, (begin, rest, hidden), (batch + 1) // 2)
    first = taps[0]
    many = captured(lambda: [first(hidden, rest) for _ in range(50)], device)
    seconds = statistics.median(_seconds(many, device) for _ in range(5))
    return {"hidden": width, "batch": batch, "us": 1e6 * seconds / 50, "error": error}


def _check(
    table: Table, columns: tuple[int, ...], tensors: tuple[torch.Tensor, ...], steered: int
) -> float:
    """The largest error of a projection, relative to their size."""
    begin, rest, result = (tensor.double().cpu().numpy() for tensor in tensors)
    vectors = _vectors(begin.shape[1])
    values = [np.array(vector.values) for vector in vectors]
    layers = [vector.layer for vector in vectors]
    told = table.buffers.readings[:, list(columns)].double().cpu().numpy()
    worst = 0.0
    for row in range(len(begin)):
        stream, read = begin[row] + rest[row], np.zeros(SLOTS)
        for layer in LAYERS:
            here = [slot for slot in range(SLOTS) if layers[slot] == layer]
            read[here] = reference.projections(stream, values)[here]
            if row < steered:
                own = reference.Row(stream, True, read)
                stream = reference.changed(own, layer, values, layers, list(_CHANGES))
            # Between two layers the stream is what BF16 holds of it.
            part = torch.from_numpy(stream - rest[row]).to(torch.bfloat16).double().numpy()
            stream = part + rest[row]
        # A change that rounds the other way shows in the second layer.
        size = np.sqrt((read**2).mean())
        error = np.abs(told[row] - read).max() / size
        assert error < (1e-3 if row >= steered else 1e-2), f"row {row}: {error}"
        np.testing.assert_allclose(result[row] + rest[row], stream, rtol=2e-2, atol=5e-2)
        worst = max(worst, float(error))
    return worst


def _share(step: DecodeStep, width: int, batch: int, device: torch.device) -> dict[str, float]:
    table = _table(width, batch, device)
    _fill(table, width, batch, steered=1)
    # At two layers in the middle; the vectors' own numbers say which tap reads which.
    middle = step.layers // 2
    taps = {middle: Tap(table.buffers, LAYERS[0]), middle + 1: Tap(table.buffers, LAYERS[1])}
    plain = captured(lambda: step(batch, {}), device)
    tapped = captured(lambda: step(batch, taps), device)
    pairs = []
    for number in range(4 if device.type == "cpu" else 40):
        order = (plain, tapped) if number % 2 else (tapped, plain)
        seconds = {id(replay): _seconds(replay, device) for replay in order}
        pairs.append((seconds[id(plain)], seconds[id(tapped)]))
    ratio = statistics.median(tapped / plain for plain, tapped in pairs)
    return {
        "batch": batch,
        "step ms": 1e3 * statistics.median(plain for plain, _ in pairs),
        "share %": 100 * (ratio - 1),
    }


def _seconds(replay: Callable[[], Any], device: torch.device, repeats: int = 10) -> float:
    """Of one replay."""
    if device.type == "cpu":
        begin = time.perf_counter()
        replay()
        return time.perf_counter() - begin
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        replay()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / repeats
