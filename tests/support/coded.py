"""Attempts whose worker is a stand-in, which does what the attempt says instead of asking an owner."""

import secrets
import stat
import sys

from mainspring.compute.engine import Handle, Spec
from mainspring.domain.records import Resources
from mainspring.testing.engines import until

# Where the interpreter of an attempt stands: sixteen at once start on two cores.
WORKER = """#!{python} -IS
import base64, os
exec(base64.b64decode(os.environ["MAINSPRING_ATTEMPT"]).split(b"<code>")[1])
"""


def write_worker(path):
    """Write the stand-in; return its path."""
    path.write_text(WORKER.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def make_coded(code, python="", **asked):
    """Make an attempt that executes code: ``make_coded("print(1)", gpus=2)``."""
    more = {name: asked.pop(name) for name in ("timeout_s", "priority", "gang") if name in asked}
    return Spec(
        secrets.token_hex(16),
        1,
        1,
        "token-of-the-attempt",
        Resources(**asked),
        python=str(python),
        variables={"CODE": f"<code>{code}<code>"},
        **more,
    )


def wait_code(path):
    """Return code that goes on until a file is there."""
    return f"import time\nwhile not os.path.exists({str(path)!r}): time.sleep(.05)\n"


def handle_of(spec):
    return Handle(spec.run_id, spec.attempt)


def wait_ended(engine, *specs):
    """Wait until attempts have ended; return their statuses."""
    handles = [handle_of(spec) for spec in specs]
    for _ in until():
        found = engine.poll(handles)
        if all(status.state == "ended" for status in found):
            break
    return found


def wait_for(engine, spec, check):
    """Wait until the status of an attempt is as it should be; return it."""
    for _ in until():
        (status,) = engine.poll([handle_of(spec)])
        if check(status):
            return status
    return None
