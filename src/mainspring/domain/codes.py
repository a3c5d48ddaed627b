"""Error codes as people type them, explained from the catalogue without an owner."""

from __future__ import annotations

import re

from mainspring.domain.catalogue import ENTRIES
from mainspring.domain.errors import NotFound
from mainspring.domain.records import Reason

_CODE = re.compile(r"[A-Za-z]+-\d+\Z")


def is_code(text: str) -> bool:
    """Tell whether a text has the form of an error code, in capitals or not.

    Examples
    --------
    >>> is_code("run-005"), is_code("delays@champion")
    (True, False)
    """
    return _CODE.match(text) is not None


def explain_code(text: str) -> Reason:
    """Say what a code means, why it happens and what mends it.

    Raises
    ------
    NotFound
        HOME-009 when the catalogue has no such code; its fix names the nearest.

    Examples
    --------
    >>> explain_code("run-005").lines[0]
    'RUN-005: a lease that was lost'
    """
    code = text.upper()
    entry = ENTRIES.get(code)
    if entry is None:
        from difflib import get_close_matches  # only where somebody erred

        near = get_close_matches(code, ENTRIES, n=1)
        raise NotFound("HOME-009", f"{code} is no error code", fix=f"mainspring why {near[0]}" if near else "")
    lines = [
        f"{entry.code}: {entry.title}",
        f"  why: {entry.why}",
        f"  fix: {entry.fix}",
        f"  a command that meets it ends with {entry.exit_code}; HTTP answers {entry.http_status}",
    ]
    return Reason(entry.code, lines, {name: getattr(entry, name) for name in entry.__struct_fields__})
