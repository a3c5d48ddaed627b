"""Small pieces of HTML for notebooks: escaped, without colors, scripts or anything from elsewhere."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mainspring.domain.errors import MainspringError

_MOST_ROWS = 50
_MOST_CHARACTERS = 300
_CELL = ' style="text-align:left;vertical-align:top;padding:0 1em 0 0"'


def tells_errors(render: Callable[[Any], str]) -> Callable[[Any], str]:
    """Let what draws a handle draw an error instead of raising it: a notebook would print a traceback."""

    @functools.wraps(render)
    def draw(thing: Any) -> str:
        try:
            return render(thing)
        except MainspringError as error:
            return render_lines(f"{error.code}: {error.what}", [f"why: {error.why}", f"fix: {error.fix}"])

    return draw


def render_text(value: object) -> str:
    """Return a value as escaped text, cut when it is long.

    Examples
    --------
    >>> render_text("<b>")
    '&lt;b&gt;'
    """
    text = "-" if value is None else str(value)
    return _escape(text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…")


def render_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table of at most 50 rows; every cell is escaped.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : iterable of sequence
        One cell for each heading.
    """
    found = [list(row) for row in rows]
    head = "".join(f"<th{_CELL}>{render_text(name)}</th>" for name in columns)
    body = "".join(f"<tr>{_render_cells(row)}</tr>" for row in found[:_MOST_ROWS])
    more = f"<p>and {len(found) - _MOST_ROWS:,} more</p>" if len(found) > _MOST_ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def render_fields(title: str, fields: Mapping[str, object], note: str = "") -> str:
    """Return a heading, a line for each field that is there, and a remark; all of it escaped.

    Parameters
    ----------
    title : str
        What it is.
    fields : mapping of str to object
        Absent values are left out.
    note : str
        What is told below.
    """
    shown = {name: value for name, value in fields.items() if value not in (None, "", [], {}, ())}
    rows = "".join(
        f"<tr><th{_CELL}>{render_text(name)}</th>{_render_cells([value])}</tr>" for name, value in shown.items()
    )
    told = f"<p>{render_text(note)}</p>" if note else ""
    return f"<p><b>{render_text(title)}</b></p><table><tbody>{rows}</tbody></table>{told}"


def render_lines(title: str, lines: Iterable[str]) -> str:
    """Return a heading and lines as they are printed; all of it escaped."""
    return f"<p><b>{render_text(title)}</b></p><pre>{_escape(chr(10).join(lines))}</pre>"


def render_pairs(values: Mapping[str, Any]) -> str:
    """Return names and values in one line of text, not escaped yet.

    Examples
    --------
    >>> render_pairs({"rate": 0.123456, "name": "x"})
    'rate=0.1235, name=x'
    """
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )


def _escape(text: str) -> str:
    from html import escape  # its table of entities is larger than the whole wire, and scripts draw nothing

    return escape(text)


def _render_cells(row: Sequence[Any]) -> str:
    return "".join(f"<td{_CELL}>{render_text(cell)}</td>" for cell in row)
