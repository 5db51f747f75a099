"""The guard of this process, for what vLLM makes itself and cannot be handed one."""

from personaguard_vllm.guard import Guard

_guards: list[Guard] = []


def set_guard(guard: Guard) -> None:
    _guards[:] = [guard]


def guard() -> Guard | None:
    """`None` before the model is loaded, and where nothing asks the plugin to guard."""
    return _guards[0] if _guards else None
