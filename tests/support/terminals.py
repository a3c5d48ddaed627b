"""The command on a terminal of its own: what it draws, as text and as it came."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

PATIENCE_S = 60.0
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Runs ``mainspring WORDS`` on a pseudo terminal of a size; `drawn` is all that it wrote."""

    def __init__(self, *words, columns=80, rows=24, **environment):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        inherited = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mainspring", *words],
            env={**inherited, "TERM": "xterm-256color", **environment},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.drawn = ""

    @property
    def text(self):
        """What was written, without colors and movements."""
        return _CONTROL.sub("", self.drawn).replace("\r\n", "\n")

    def wait_for(self, pattern):
        """Read until what was written holds a pattern."""
        deadline = time.monotonic() + PATIENCE_S
        try:
            while not re.search(pattern, self.text):
                assert time.monotonic() < deadline, self.text
                assert self._read(deadline), f"it ended without {pattern!r}: {self.text}"
        except AssertionError:
            self._kill()
            raise
        return self

    def type(self, text):
        """Press keys."""
        os.write(self._master, text.encode())
        return self

    def hang_up(self):
        """Close the terminal, as somebody who goes away."""
        os.close(self._master)
        self._process.wait(PATIENCE_S)

    def interrupt(self):
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        return self

    def end(self):
        """Read to the end; return the exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            assert time.monotonic() < deadline, self.text
        os.close(self._master)
        try:
            return self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._kill()
            raise

    def _kill(self):
        """Leave nothing behind that a later test would be blamed for."""
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def _read(self, deadline):
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, self.text
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # Linux tells the end of a terminal so
            return False
        self.drawn += piece.decode("utf-8", "replace")
        return bool(piece)
