"""The operator against its definition, eagerly and compiled, without vLLM."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from personaguard_vllm import buffers, op
from personaguard_vllm.plan import Change, Gate, Plan, Positions
from personaguard_vllm.rows import Span, plan_step
from personaguard_vllm.table import Table
from personaguard_vllm.tap import Tap
from personaguard_vllm.vectors import Vector
from reference import Row, changed, projections

HIDDEN, LAYERS, TOKENS = 24, 3, 40
_NUMBER = st.floats(-4, 4, width=32).filter(lambda number: abs(number) > 1e-3)
_SLOT = st.integers(0, 5)


@st.composite
def _changes(draw: st.DrawFn) -> Change:
    slot = draw(_SLOT)
    if draw(st.booleans()):
        low, high = sorted((draw(_NUMBER), draw(_NUMBER)))
        return Change(slot, draw(st.sampled_from(Positions)), None, low, high)
    if draw(st.booleans()):
        # Its layer is not above the changed one: vectors are in order of their layers.
        above = draw(_NUMBER)
        lower = draw(st.integers(0, slot // 2 * 2 + 1))
        gate = Gate(lower, draw(st.booleans()), above, above)
        return Change(slot, Positions.RESPONSE, draw(_NUMBER), gate=gate)
    return Change(slot, draw(st.sampled_from(Positions)), draw(_NUMBER))


@st.composite
def _batches(draw: st.DrawFn) -> tuple[list[list[Change]], list[tuple[int, int, int]]]:
    count = draw(st.integers(1, 5))
    plans = [draw(st.lists(_changes(), max_size=4)) for _ in range(count)]
    shapes = [
        (draw(st.integers(0, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 8)))
        for _ in range(count)
    ]
    return plans, shapes


class _Model(torch.nn.Module):
    """Blocks that return what they are given, each followed by the operator."""

    def __init__(self, shared: buffers.Buffers) -> None:
        super().__init__()
        self.taps = torch.nn.ModuleList(Tap(shared, layer) for layer in range(1, LAYERS + 1))

    def forward(self, hidden: torch.Tensor, residual: torch.Tensor | None) -> torch.Tensor:
        for tap in self.taps:
            hidden = hidden * 1.0
            tap(hidden, residual)
        return hidden


def _random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _vectors() -> tuple[list[np.ndarray], list[int]]:
    return list(_random(1, 6, HIDDEN)), [1, 1, 2, 2, 3, 3]


def _fill(
    table: Table, plans: list[list[Change]], shapes: list[tuple[int, int, int]]
) -> tuple[list[Span], int]:
    """Lays out requests in a row. The tokens before the first and after the last are none's."""
    values, layers = _vectors()
    vectors = tuple(
        Vector(layer, value.tobytes()) for layer, value in zip(layers, values, strict=True)
    )
    spans, start = [], 2
    for number, (changes, (first, count, prompt)) in enumerate(zip(plans, shapes, strict=True)):
        columns = table.hold(vectors)
        plan = Plan(str(number), 1, tuple(changes))
        line = table.add(plan, vectors, columns)
        # What an earlier step read at the prompt's end.
        table.buffers.prompt_last[line, list(columns)] = torch.from_numpy(_random(90 + number, 6))
        span = Span(line, start, count, first, prompt, plan.changes_prompt, bool(changes))
        spans.append(span)
        start += count
    table.write(plan_step(spans, start + 1, table.buffers.nobody))
    return spans, start + 1


def _check(model: torch.nn.Module, table: Table, plans: list, shapes: list, apart: bool) -> None:
    spans, tokens = _fill(table, plans, shapes)
    vectors, layers = _vectors()
    stream = _random(7, tokens, HIDDEN) * 2
    rest = _random(8, tokens, HIDDEN)
    hidden = torch.from_numpy(stream - rest if apart else stream)
    residual = torch.from_numpy(rest) if apart else None
    result = model(hidden.clone(), residual)
    after = (result + residual if residual is not None else result).numpy()
    owned = {}
    for number, span in enumerate(spans):
        last = _random(90 + number, 6).astype(np.float64)
        for row in range(span.start, span.start + span.count):
            owned[row] = (span, row - span.start + span.first, plans[number], last)
    for row in range(tokens):
        if row not in owned:
            np.testing.assert_array_equal(result[row].numpy(), hidden[row].numpy())
            continue
        span, position, changes, last = owned[row]
        expected = stream[row].astype(np.float64)
        read = np.zeros(6)
        for layer in range(1, LAYERS + 1):
            at = [slot for slot in range(6) if layers[slot] == layer]
            read[at] = projections(expected, vectors)[at]
            if position == span.prompt - 1:
                last[at] = read[at]
            given_row = Row(expected, position >= span.prompt, last)
            # Conditions on lower layers see what was read there.
            seen = _SeenLower(read)
            expected = seen.changed(given_row, layer, vectors, layers, changes)
        np.testing.assert_allclose(after[row], expected, rtol=2e-4, atol=2e-4)
        if position >= span.prompt - 1:
            columns = [
                table._columns.find(Vector(n, v.tobytes()).name)
                for n, v in zip(layers, vectors, strict=True)
            ]
            told = table.buffers.readings[row, columns].numpy()
            np.testing.assert_allclose(told, read, rtol=2e-4, atol=2e-4)


class _SeenLower:
    """A row whose conditions are asked on readings of this and of lower layers."""

    def __init__(self, read: np.ndarray) -> None:
        self._read = read

    def changed(
        self, row: Row, layer: int, vectors: list, layers: list, changes: list
    ) -> np.ndarray:
        kept = []
        for change in changes:
            gate = change.gate
            if gate is not None and not gate.at_prompt_last:
                if not self._read[gate.slot] > gate.above:
                    continue
                change = Change(change.slot, change.positions, change.add)
            kept.append(change)
        return changed(row, layer, vectors, layers, kept)


def _table() -> Table:
    return Table(buffers.make(LAYERS, HIDDEN, 8, TOKENS, torch.device("cpu")))


@settings(max_examples=150, deadline=None)
@given(_batches(), st.booleans())
def test_rows_are_read_and_changed_as_defined(batch: tuple, apart: bool) -> None:
    table = _table()
    plans, shapes = batch
    _check(_Model(table.buffers), table, plans, shapes, apart)


@settings(max_examples=40, deadline=None)
@given(_batches(), st.booleans())
def test_the_kernels_for_gpus_read_and_change_as_defined(batch: tuple, apart: bool) -> None:
    # Triton interprets them here. That a GPU does the same, `cargo xtask check-gpu` shows.
    table = _table()
    plans, shapes = batch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(op, "is_on_gpu", lambda _tensor: True)
        _check(_Model(table.buffers), table, plans, shapes, apart)


def test_a_compiled_graph_follows_what_is_written_later() -> None:
    torch.manual_seed(0)
    table = _table()
    model = torch.compile(_Model(table.buffers), dynamic=True, fullgraph=True)
    steer = Change(1, Positions.RESPONSE, 1.5)
    cap = Change(3, Positions.ALL, None, -0.5, 0.5)
    gated = Change(4, Positions.RESPONSE, -2.0, gate=Gate(2, False, 0.0, 0.0))
    cases: list[tuple[list, list]] = [
        ([[]], [(0, 4, 4)]),
        ([[steer], [], [cap]], [(3, 3, 4), (0, 5, 5), (0, 6, 3)]),
        ([[gated, cap], [steer, cap]], [(8, 1, 6), (2, 1, 2)]),
    ]
    for plans, shapes in cases:
        _check(model, table, plans, shapes, True)
        for line in range(len(plans)):
            table.remove(line)
        table.clear()


def test_unwanted_rows_keep_their_bits_and_readings_are_not_left_over() -> None:
    table = _table()
    model = _Model(table.buffers)
    _fill(table, [[]], [(0, 4, 4)])
    hidden = torch.from_numpy(_random(3, 7, HIDDEN))
    assert torch.equal(model(hidden.clone(), None), hidden)
    assert not table.buffers.readings[5].isnan().all(), "the prompt's last token is read"
    assert table.buffers.readings[4].isnan().all(), "another prompt token is not"
    table.write(plan_step([], 7, table.buffers.nobody))
    model(hidden.clone(), None)
    assert table.buffers.readings[:7].isnan().all(), "an old projection looks like a new one"


@pytest.mark.parametrize("is_on_gpu", [False, True])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_rows_are_changed_in_single_precision(
    kind: torch.dtype, is_on_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(op, "is_on_gpu", lambda _tensor: is_on_gpu)
    table = _table()
    model = _Model(table.buffers)
    _fill(table, [[Change(0, Positions.ALL, 2.0)]], [(0, 3, 2)])
    hidden = torch.from_numpy(_random(5, 6, HIDDEN)).to(kind)
    vector = torch.from_numpy(_vectors()[0][0])
    expected = (hidden[2:5].float() + 2.0 * vector).to(kind)
    torch.testing.assert_close(model(hidden.clone(), None)[2:5], expected)


def test_the_kernels_compile_for_gpus(tmp_path: Path) -> None:
    script = Path(__file__).with_name("compiled_kernels.py")
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 9
