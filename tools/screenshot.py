"""Draw what commands look like on a terminal: ``python tools/screenshot.py OUT.svg COLUMNS COMMAND...``.

The command runs in tmux, so what is drawn is what a terminal shows; tmux is needed, nothing else. HOME, the folder
and the environment are those of the caller. Each COMMAND is typed at a prompt of its own.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

_PATIENCE_S = 180.0
_ROWS = 100
_WIDTH, _HEIGHT = 8.4, 18.0
_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_COLORS = {31: "#b3261e", 32: "#1b6e3c", 33: "#8a5a00", 34: "#1a4fa3", 35: "#7b2d8b", 36: "#00677a"}


class Look(NamedTuple):
    """How letters are drawn."""

    bold: bool = False
    dim: bool = False
    color: int = 0


def capture(commands: list[str], columns: int) -> str:
    """Type commands at a terminal of so many columns; return what it shows, with its colors.

    Parameters
    ----------
    commands : list of str
        Lines for a shell, one after the other.
    columns : int
        Width of the terminal.
    """
    with tempfile.TemporaryDirectory() as folder:
        done, script = Path(folder) / "done", Path(folder) / "script"
        lines = [f"printf '\\033[2m$\\033[0m %s\\n' {shlex.quote(each)}; {each}; echo" for each in commands]
        script.write_text("\n".join(["clear", *lines, f"touch {done}", "sleep 600"]))
        tmux = ["tmux", "-S", f"{folder}/socket", "-f", "/dev/null"]
        size = ["-x", str(columns), "-y", str(_ROWS)]
        subprocess.run([*tmux, "new-session", "-d", *size, f"sh {script}"], check=True, env=os.environ)
        try:
            deadline = time.monotonic() + _PATIENCE_S
            while not done.exists():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not done after {_PATIENCE_S:g} s: {commands}")
                time.sleep(0.1)
            time.sleep(0.3)  # until tmux has drawn the last of it
            shown = subprocess.run([*tmux, "capture-pane", "-e", "-p"], check=True, capture_output=True, text=True)
        finally:
            subprocess.run([*tmux, "kill-server"], check=False)
    return shown.stdout.rstrip("\n")


def draw(shown: str, columns: int) -> str:
    """Return a terminal's lines as SVG.

    Parameters
    ----------
    shown : str
        Lines with codes of color.
    columns : int
        Width in letters.
    """
    lines = shown.rstrip().split("\n")
    width, height = columns * _WIDTH + 24, len(lines) * _HEIGHT + 24
    rows, last = [], Look()
    for number, line in enumerate(lines):
        at = 0
        for text, look in _split(line, last):
            last = look
            if text.strip():
                place = f'x="{12 + at * _WIDTH:.1f}" y="{12 + (number + 0.75) * _HEIGHT:.1f}"'
                length = f'textLength="{len(text) * _WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"'
                rows.append(f'<text {place} {length}{_spell(look)} xml:space="preserve">{escape(text)}</text>')
            at += len(text)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" font-size="14"'
    style = 'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" fill="#1f2328">'
    frame = '<rect width="100%" height="100%" rx="6" fill="#fbfbfa" stroke="#d0d3d6"/>'
    return "\n".join([f"{head} {style}", frame, *rows, "</svg>\n"])


def _split(line: str, look: Look) -> Iterator[tuple[str, Look]]:
    """Yield pieces of a line with how they look; the last look goes on in the next line."""
    start = 0
    for code in _SGR.finditer(line):
        yield line[start : code.start()], look
        look, start = _turn(look, code[1]), code.end()
    yield line[start:], look


def _turn(look: Look, codes: str) -> Look:
    for code in (int(each or 0) for each in codes.split(";")):
        if code == 0:
            look = Look()
        elif code in {1, 2, 22}:
            look = look._replace(bold=code == 1, dim=code == 2)
        elif 30 <= code <= 39:
            look = look._replace(color=code)
    return look


def _spell(look: Look) -> str:
    weight = ' font-weight="bold"' if look.bold else ""
    color = ' fill="#6e7781"' if look.dim else f' fill="{_COLORS[look.color]}"' if look.color in _COLORS else ""
    return weight + color


def main() -> int:
    """Draw what the arguments name."""
    if len(sys.argv) < 4 or not sys.argv[2].isdigit():
        print(__doc__, file=sys.stderr)
        return 2
    shown = capture(sys.argv[3:], int(sys.argv[2]))
    Path(sys.argv[1]).write_text(draw(shown, int(sys.argv[2])), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
