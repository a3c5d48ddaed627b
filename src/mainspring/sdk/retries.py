"""Code of this process that is tried again when it raises."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from mainspring.domain.backoff import find_wait
from mainspring.domain.records import Attempt
from mainspring.sdk.context import active_run
from mainspring.sdk.faults import tell_fault
from mainspring.sdk.inline import warn
from mainspring.sdk.options import Options

R = TypeVar("R")

_LOOK_S = 0.1


def attempt(name: str, options: Options, call: Callable[[], R]) -> R:
    """Call until it returns or has no retry left; what was tried is told with the end of the active run.

    Parameters
    ----------
    name : str
        The step's name.
    options : Options
        With retries and the first wait.
    call : callable
        The user's code.

    Raises
    ------
    Exception
        What the last try raised, or the one after which the run was told to end.
    """
    for failures in range(1, options.retries + 1):
        began = time.time()
        try:
            return call()
        except Exception as fault:  # whatever the user's code raises is what a retry is for
            from random import random

            wait_s = find_wait(options.backoff_s, failures, random())
            what = f"failed, {tell_fault(fault)}"
            _note(Attempt(failures, what, began, time.time(), wait_s))
            warn(f"{name} {what}; retry {failures} of {options.retries} in {wait_s:.1f} s")
            if not _wait(wait_s):
                raise
    return call()


def _note(ended: Attempt) -> None:
    active = active_run()
    if active is not None:
        active.attempts.append(ended)


def _wait(seconds: float) -> bool:
    """Sleep; False when the run was told to end meanwhile."""
    active, until = active_run(), time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        if active is not None and active.order != "keep":
            return False
        time.sleep(min(left_s, _LOOK_S))
    return True
