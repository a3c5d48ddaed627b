"""Looks ahead for the owner, in a process of its own so that no turn waits: ``python -m mainspring.worker.outlook``."""

from __future__ import annotations

import os
import sys

import msgspec

from mainspring.compute.scheduling.outlooks import look_ahead
from mainspring.compute.scheduling.sketches import Sketch


def main() -> None:
    """Read a sketch from standard input, and write what is told of its run."""
    os.nice(10)
    sketch = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Sketch)
    sys.stdout.buffer.write(msgspec.msgpack.encode(look_ahead(sketch)))


if __name__ == "__main__":
    main()
