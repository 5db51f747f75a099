"""What the plugin puts into each process of vLLM, before the engine is made there.

The process that takes requests checks their plans, the core of the engine gets the salt of the
prefix cache, each worker the taps. All are wrapped in every process, since a process does not say
which it is. Workers are met at their wrapper, which is the same class for every kind of device.
"""

import functools
from collections.abc import Callable
from typing import Any

import vllm
from vllm.v1.engine.input_processor import InputProcessor
from vllm.v1.request import Request
from vllm.v1.worker.worker_base import WorkerWrapperBase

from personaguard_vllm import admission, salt, store, worker
from personaguard_vllm.refusal import UnsupportedError, stop
from personaguard_vllm.supported import check_version

_MARK = "personaguard"


def install() -> None:
    """Wraps what must be wrapped, once."""
    wrapper: Any = WorkerWrapperBase
    if hasattr(wrapper, _MARK):
        return
    try:
        check_version(vllm.__version__)
    except UnsupportedError as error:
        stop(str(error))
    setattr(wrapper, _MARK, True)
    store.make()
    admission.install(InputProcessor)
    salt.install(Request)
    _after(wrapper, "load_model", worker.attach)
    _after(wrapper, "compile_or_warm_up_model", worker.begin)
    # This one the wrapper has itself, so that it is called whatever becomes of the other two.
    original = wrapper.initialize_from_config

    @functools.wraps(original)
    def checked(self: Any, *arguments: Any, **named: Any) -> Any:
        worker.check_attached(self)
        return original(self, *arguments, **named)

    wrapper.initialize_from_config = checked


def _after(wrapper: Any, name: str, then: Callable[[Any], None]) -> None:
    """Calls `then` once the worker's method of that name has returned."""

    def wrapped(self: Any, *arguments: Any, **named: Any) -> Any:
        result = getattr(self.worker, name)(*arguments, **named)
        then(self)
        return result

    setattr(wrapper, name, wrapped)
