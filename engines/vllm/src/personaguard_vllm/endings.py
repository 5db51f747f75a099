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
        self._requests: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._ids or self._requests)

    def has(self, engine_id: str, plan_id: str | None) -> bool:
        return engine_id in self._requests or plan_id in self._ids

    def add(self, plan_id: str) -> None:
        with self._lock:
            self._ids[plan_id] = None
            while len(self._ids) > MAX_ENDING:
                del self._ids[next(iter(self._ids))]

    def discard(self, plan_id: str) -> None:
        with self._lock:
            self._ids.pop(plan_id, None)

    def add_request(self, engine_id: str) -> None:
        self._requests.add(engine_id)

    def discard_request(self, engine_id: str) -> None:
        self._requests.discard(engine_id)
