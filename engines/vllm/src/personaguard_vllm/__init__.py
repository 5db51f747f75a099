"""Measures, caps and steers a model along persona vectors, inside a stock vLLM.

vLLM imports this module in each of its processes and calls `register`. An exception while a plugin
is imported is only logged, and the server would start unguarded: so nothing but the standard
library is imported here, and `register` ends the process where it cannot guard.
"""

from personaguard_vllm.refusal import stop

__version__ = "0.1.0"


def register() -> None:
    """Prepares this process of vLLM. Can be called again without harm."""
    try:
        from personaguard_vllm import install

        install.install()
    except Exception as error:  # Whatever it is: the server must not start unguarded.
        stop(f"the plugin cannot be set up in this vLLM: {type(error).__name__}: {error}")
