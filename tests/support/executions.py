"""What workers of the tests execute; few imports, because a worker makes them anew."""

import os
import time

from tests.support.kills import Ledger

import mainspring as ms
from mainspring.sdk.context import active_run


def execute(path, go):
    """Tell outside when it begins and ends, wait to be let go on, and return which attempt it was."""
    run, ledger = active_run().run, Ledger(path)
    ledger.note("began", run.id, run.attempt, os.getpid())
    while not go.exists():
        time.sleep(0.01)
    ledger.note("ended", run.id, run.attempt, os.getpid())
    return run.attempt


def stumble(path, go):
    """Log a curve, and fail at the first attempt once it is let go on; the next one logs it anew."""
    run = active_run().run
    for step in range(4 if run.attempt == 1 else 2):
        ms.log(loss=float(10 * run.attempt + step), step=step)
    execute(path, go)
    if run.attempt == 1:
        raise ValueError("the first attempt")
    return run.attempt
