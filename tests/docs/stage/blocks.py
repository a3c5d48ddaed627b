"""Fenced blocks of a page: what each is and where it stands."""

import re
from dataclasses import dataclass
from pathlib import Path

KINDS = ("python", "console", "text", "toml", "json")
"""Python and console are run; the others are shown only."""

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    kind: str
    excuse: str  # why it is not run
    body: str

    @property
    def place(self):
        return f"{self.page.name}:{self.line}"


def read_blocks(page):
    text = page.read_text("utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start()) + 1,
            found["info"].split(" ")[0],
            found["info"].partition(" not-run: ")[2].strip(),
            found["body"],
        )
        for found in _FENCE.finditer(text)
    ]


def split_console(body):
    """Return (command, expected lines) of each ``$`` line; a backslash at the end goes on."""
    calls = []
    for line in body.splitlines():
        if line.startswith("$ "):
            calls.append(([line[2:]], []))
        elif calls and not calls[-1][1] and calls[-1][0][-1].endswith("\\"):
            calls[-1][0].append(line)
        elif calls and line.strip():
            calls[-1][1].append(line)
    return [("\n".join(words), expected) for words, expected in calls]
