"""What stands before a fork server whose workers have an environment of their own: it builds that, and becomes it.

Started by the local engine as ``python -m mainspring.worker.environment DIGEST ...``, with the arguments of
`mainspring.worker.forkserver`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mainspring.compute.environments import open_environment
from mainspring.domain.errors import MainspringError
from mainspring.domain.home import Home
from mainspring.store.blobs import open_blobs


def run(arguments: Sequence[str] | None = None) -> None:
    """Build the environment of a lock unless it is there, then go on as the fork server of its interpreter."""
    parser = argparse.ArgumentParser(prog="mainspring.worker.environment")
    parser.add_argument("lock")
    for name in ("root", "state", "runtime"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--blob-store", default="")
    given, _ = parser.parse_known_args(arguments)
    home = Home(given.root, given.state, given.runtime, blob_store=given.blob_store)
    try:
        python = open_environment(home.environments, open_blobs(home).get(given.lock).decode())
    except MainspringError as error:
        # The engine tells people the last line.
        sys.exit(f"{error.code}: {' '.join(error.what.split())}")
    rest = list(sys.argv if arguments is None else ["", *arguments])[2:]
    # The path is the environment's: what the caller's variables add would come before it.
    variables = {name: text for name, text in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    os.execve(python, [str(python), "-P", "-m", "mainspring.worker.forkserver", *rest], variables)  # noqa: S606


if __name__ == "__main__":
    run()
