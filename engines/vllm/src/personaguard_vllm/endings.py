"""Requests that are to end now."""

import threading

# More than run at once: what is over is forgotten first.
MAX_ENDING = 4096


class Endings:
    """By the plan's id where the sidecar says so, by the engine's where a plan is refused.

    Written by the socket's thread too, asked by the engine's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: dict[str, None] = {}
        self._requests: dict[str, int | None] = {}

    def __bool__(self) -> bool:
        return bool(self._ids or self._requests)

    def has(self, plan_id: str) -> bool:
        return plan_id in self._ids

    def add(self, plan_id: str) -> None:
        with self._lock:
            self._ids[plan_id] = None
            while len(self._ids) > MAX_ENDING:
                del self._ids[next(iter(self._ids))]

    def discard(self, plan_id: str) -> None:
        with self._lock:
            self._ids.pop(plan_id, None)

    def refused(self, engine_id: str) -> int | None:
        """The end token of a request whose plan was refused."""
        return self._requests.get(engine_id)

    def add_refused(self, engine_id: str, end: int | None) -> None:
        self._requests[engine_id] = end

    def discard_refused(self, engine_id: str) -> None:
        self._requests.pop(engine_id, None)
