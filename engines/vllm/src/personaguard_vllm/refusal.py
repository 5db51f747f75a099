"""Ending a server that would start unguarded."""

import logging
import os
import sys
from typing import NoReturn

_LOG = logging.getLogger("vllm.personaguard")
# As for a configuration error (EX_CONFIG): restarting without another configuration is useless.
EXIT_STATUS = 78


class UnsupportedError(Exception):
    """What this vLLM, its model or its options are cannot be guarded. The text says what to do."""


def stop(reason: str) -> NoReturn:
    """Ends this process at once, with one sentence.

    Not by an exception: vLLM catches those of its workers in several places, and some are only
    logged. The engine ends when one of its processes does.
    """
    sentence = f"personaguard: {reason}"
    _LOG.critical("%s", sentence)
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()
    os._exit(EXIT_STATUS)
