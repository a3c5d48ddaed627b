"""What workers of the tests execute; few imports, because a worker makes them anew."""

import os
import time

from tests.support.kills import Ledger

from mainspring.sdk.context import active_run


def execute(path, go):
    """Tell outside when it begins and ends, wait to be let go on, and return which attempt it was."""
    run, ledger = active_run().run, Ledger(path)
    ledger.note("began", run.id, run.attempt, os.getpid())
    while not go.exists():
        time.sleep(0.01)
    ledger.note("ended", run.id, run.attempt, os.getpid())
    return run.attempt
