"""The plugin in one worker: follows requests and steps, and tells what was measured.

Knows neither model runner: those call `schedule`, `prepare` and `finish` around each step.
"""

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from personaguard_vllm import frames
from personaguard_vllm.buffers import Buffers
from personaguard_vllm.endings import Endings
from personaguard_vllm.frames import FrameError, Kind, Part
from personaguard_vllm.link import Link
from personaguard_vllm.requests import Requests, Tracked
from personaguard_vllm.rows import Told, plan_step
from personaguard_vllm.states import Sending, States, Sum
from personaguard_vllm.steps import New, Scheduled
from personaguard_vllm.store import Store
from personaguard_vllm.table import Table
from personaguard_vllm.vectors import SetError, number_of


class Guard:
    """One for each worker. Only that of rank 0 is connected to the sidecar."""

    def __init__(
        self,
        buffers: Buffers,
        store: Store,
        layers: tuple[int, ...],
        states: States | None = None,
    ) -> None:
        self.buffers = buffers
        self.layers = layers
        self.endings = Endings()
        self.requests = Requests(Table(buffers), store, self.endings, states)
        self._table = self.requests.table
        self._store = store
        self._states = states
        self._link: Link | None = None
        self._steps = 0
        self._told: list[tuple[Told, Tracked]] = []
        self._watch: Callable[[list[Part]], None] | None = None

    def connect(self, path: Path, hello: Callable[[], dict[str, Any]]) -> None:
        """From here on the sidecar can know of this engine. `hello` may take its time."""
        self._link = Link(
            path, lambda: frames.text_frame(Kind.HELLO, hello()), self._counts, self._receive
        )
        self._link.open()

    def watch(self, watcher: Callable[[list[Part]], None] | None) -> None:
        """Hands what is measured to `watcher` too, within the step: for the test at start."""
        self._watch = watcher

    def close(self) -> None:
        """Ends the connection."""
        if self._link is not None:
            self._link.close()

    def schedule(self, ended: Iterable[str], new: Iterable[New]) -> None:
        """At the beginning of a step: which requests are over, and which begin."""
        for engine_id in ended:
            self.requests.remove(engine_id)
        for request in new:
            self.requests.add(request)

    def prepare(self, scheduled: Iterable[Scheduled], tokens: int) -> None:
        """Right before the forward pass: writes what it is to do."""
        spans, by_owner = [], {}
        for rows in scheduled:
            span = self.requests.span(rows.id, rows.start, rows.count, rows.first)
            tracked = self.requests.find(rows.id)
            if span is not None and tracked is not None:
                spans.append(span)
                by_owner[span.owner] = tracked
                if self._states is not None and tracked.sending is not None:
                    self._states.add(tracked.sending, rows)
        step = plan_step(spans, tokens, self.buffers.nobody)
        self._table.write(step)
        if self._states is not None:
            self._states.write()
        told = ((told, by_owner[told.span.owner]) for told in step.told)
        self._told = [(told, tracked) for told, tracked in told if tracked.columns]

    def skip(self) -> None:
        """Right before a forward pass that computes no request."""
        self._told = []
        self._table.clear()
        if self._states is not None:
            self._states.write()

    def finish(self) -> None:
        """After the forward pass was launched: takes what it measured, to be told."""
        self._finish_states()
        told, self._told = self._told, []
        if not told:
            return
        self._steps += 1
        if self._link is None and self._watch is None:
            return
        parts = self._parts(told)
        if self._watch is not None:
            self._watch(parts())
        if self._link is None:
            return
        if self._table.host is None:
            self._link.tell(lambda: frames.rows_frames(parts()))
        else:
            # Nothing is awaited: made here, it does not contend for the interpreter's lock.
            content = frames.rows_frames(parts())
            self._link.tell(lambda: content)

    def _parts(self, told: list[tuple[Told, Tracked]]) -> Callable[[], list[Part]]:
        """What is told, made once the device has computed the readings."""
        if self._table.host is not None:
            readings = self._table.host.readings
            return lambda: [_part(part, request, readings, part.row) for part, request in told]
        rows = np.concatenate([np.arange(part.row, part.row + part.count) for part, _ in told])
        device = self.buffers.readings.device
        taken = self.buffers.readings.index_select(0, torch.from_numpy(rows).to(device))
        on_host = _on_host(taken)

        def parts() -> list[Part]:
            values, made, at = on_host(), [], 0
            for part, request in told:
                made.append(_part(part, request, values, at))
                at += part.count
            return made

        return parts

    def _finish_states(self) -> None:
        if self._states is None:
            return
        for sending, sums in self._states.take():
            if self._link is not None:
                self._link.tell(functools.partial(_means, sending, _on_host(sums)))

    def end(self, engine_ids: Iterable[str], tokens: torch.Tensor) -> None:
        """After sampling: makes the end token the next one of requests that are to end.

        `tokens` has a row for each request. Whatever was masked or forbidden before does not hold.
        """
        if not self.endings:
            return
        for row, engine_id in enumerate(engine_ids):
            end = self.requests.ending(engine_id)
            if end is not None:
                tokens[row] = end

    def _counts(self, dropped: int) -> bytes:
        foreign, steps = self.requests.foreign, self._steps
        return frames.text_frame(
            Kind.COUNTS, {"foreign": foreign, "dropped": dropped, "steps": steps}
        )

    def _receive(self, message: bytes) -> bytes | None:
        """What the sidecar sends, in the socket's thread."""
        kind, payload = message[0], message[1:]
        if kind == Kind.ABORT:
            self.endings.add(frames.read_id(payload))
            return None
        if kind == Kind.SYNC:
            # The answer goes behind the rows that are queued. That of a token is queued before the
            # engine samples the next one: what was sampled by now is told, but for the last.
            return frames.frame(Kind.SYNCED, frames.read_id(payload).encode())
        if kind != Kind.VECTORS:
            raise FrameError(f"there is no message of kind {kind}")
        answer: dict[str, Any] = {"set": number_of(payload), "error": None}
        try:
            self._store.put(payload)
        except SetError as error:
            answer["error"] = str(error)
        except OSError as error:
            answer["error"] = f"the vectors cannot be kept: {error}"
        return frames.text_frame(Kind.VECTORS_ANSWER, answer)


def _part(told: Told, request: Tracked, readings: np.ndarray, at: int) -> Part:
    """One request's rows, from row `at` of the readings on."""
    own = readings[at : at + told.count].take(request.columns, axis=1)
    return Part(request.plan.id, request.set_number, request.response, told.first, own)


def _means(sending: Sending, on_host: Callable[[], np.ndarray]) -> bytes:
    """The messages about the states of one request."""
    sums, response = on_host(), sending.tokens - sending.prompt
    content = frames.states_frame(
        sending.id, "prompt_mean", sending.prompt, sums[Sum.PROMPT] / sending.prompt
    ) + frames.states_frame(sending.id, "prompt_last", 1, sums[Sum.PROMPT_LAST])
    if response:
        content += frames.states_frame(
            sending.id, "response_mean", response, sums[Sum.RESPONSE] / response
        )
    return content


def _on_host(values: torch.Tensor) -> Callable[[], np.ndarray]:
    """What the device computes, for whoever asks later.

    Copying from a GPU begins now, on the engine's stream, and is awaited by who asks.
    """
    if not values.is_cuda:
        return values.numpy
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    host.copy_(values, non_blocking=True)
    event = torch.cuda.Event()
    event.record()

    def arrived() -> np.ndarray:
        event.synchronize()
        return host.numpy()

    return arrived
