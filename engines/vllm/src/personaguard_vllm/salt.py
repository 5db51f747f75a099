"""Keeps cached keys and values of changed requests away from all others.

What is computed under steering enters the engine's prefix cache under the tokens alone. A salt by
plan keeps it apart: the engine mixes it into the hash of a request's first block, and each block's
hash into the next. Some requests take nothing from the cache, since all their tokens have to be
computed: those that ask for states, which are sums over tokens, and those with a condition that
depends on the tokens before.
"""

import functools
import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

from personaguard_vllm import store
from personaguard_vllm.plan import PLAN, PlanError, parse

_digests: dict[Path, tuple[tuple[int, int], bytes]] = {}


def salted(salt: str | None, extra: dict[str, Any] | None, folder: Path) -> str | None:
    """The salt of a request: the client's, and its plan's if that changes anything."""
    text = (extra or {}).get(PLAN)
    if text is None:
        return salt
    try:
        plan = parse(text)
        if not plan.changes:
            return salt
        # A plan with changes names a set.
        vectors = _digest(folder / f"set-{plan.set_number}")
    except (PlanError, OSError):
        # It is refused where it would be followed. Until then it shares nothing.
        return f"personaguard:{secrets.token_hex(16)}:{salt or ''}"
    digest = hashlib.sha256(vectors + repr(plan.changes).encode()).hexdigest()
    return f"personaguard:{digest}:{salt or ''}"


def wants_all(extra: dict[str, Any] | None) -> bool:
    """Whether every token of the request has to be computed."""
    try:
        plan = parse((extra or {}).get(PLAN))
    except PlanError:
        return False
    return plan.states or plan.remembers


def _digest(path: Path) -> bytes:
    """Digest of a set's vectors: its number can be another set's after a sidecar has restarted."""
    found = path.stat()
    version = (found.st_ino, found.st_mtime_ns)
    known = _digests.get(path)
    if known is None or known[0] != version:
        known = (version, hashlib.sha256(path.read_bytes()).digest())
        if len(_digests) > 2 * store.KEPT:
            _digests.clear()
        _digests[path] = known
    return known[1]


def install(request: type) -> None:
    """Salts every request of the engine's core: wraps what makes a `vllm.v1.request.Request`."""
    made: Any = request
    original = made.__init__

    @functools.wraps(original)
    def init(self: Any, *arguments: Any, **named: Any) -> None:
        parameters = named.get("sampling_params")
        if parameters is None and len(arguments) > 2:
            parameters = arguments[2]
        extra = getattr(parameters, "extra_args", None)
        if extra and PLAN in extra:
            folder = Path(os.environ.get(store.VARIABLE, "/nonexistent"))
            named["cache_salt"] = salted(named.get("cache_salt"), extra, folder)
        original(self, *arguments, **named)
        if extra and wants_all(extra):
            # What vLLM itself sets for log-probabilities of a prompt.
            self.skip_reading_prefix_cache = True

    made.__init__ = init
