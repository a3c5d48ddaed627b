"""The terminal of this process, put to the shell of a session."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

from mainspring.sdk.shells import TEXT, frame, pack_size

_CHUNK = 1 << 14
_END_OF_TEXT = b"\x04"


def attach(path: Path, shown: int) -> None:
    """Sit at the shell of a session until it ends; what is no terminal is read to its end.

    Parameters
    ----------
    path : Path
        Where the session listens.
    shown : int
        The descriptor to which is written what the shell shows.

    Raises
    ------
    OSError
        Nobody listens there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.connect(str(path))
        with _raw(sys.stdin.fileno()), _following_size(link):
            _carry(link, shown)


def _carry(link: socket.socket, shown: int) -> None:
    at_terminal = sys.stdin.isatty()
    with selectors.DefaultSelector() as selector:
        selector.register(link, selectors.EVENT_READ)
        try:
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        except PermissionError:  # a file is always ready, and cannot be waited for
            link.sendall(frame(TEXT, sys.stdin.buffer.read() + _END_OF_TEXT))
        while True:
            for key, _ in selector.select():
                if key.fileobj is link:
                    content = link.recv(_CHUNK)
                    if not content:
                        return
                    _write(content, shown)
                else:
                    typed = _read()
                    if not typed:
                        if at_terminal:
                            return  # it was closed; the shell stays
                        selector.unregister(sys.stdin.fileno())
                    link.sendall(frame(TEXT, typed or _END_OF_TEXT))


def _read() -> bytes:
    try:
        return os.read(sys.stdin.fileno(), _CHUNK)
    except OSError:
        return b""


def _write(content: bytes, shown: int) -> None:
    while content:
        content = content[os.write(shown, content) :]


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Have each key go to the session as it is pressed."""
    if not os.isatty(terminal):
        yield
        return
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal, termios.TCSADRAIN)  # what was typed ahead counts
        yield
    finally:
        with contextlib.suppress(termios.error):  # it was closed
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _following_size(link: socket.socket) -> Iterator[None]:
    """Tell the session the size of the window, now and whenever it changes."""

    def tell(*_: object) -> None:
        size = shutil.get_terminal_size()
        link.sendall(pack_size(size.columns, size.lines))

    before = signal.signal(signal.SIGWINCH, tell)
    try:
        tell()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
