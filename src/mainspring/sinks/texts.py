"""Events in words for people."""

from __future__ import annotations

from typing import Any

from mainspring.domain.records import Event

_MOST_CHARACTERS = 2000


def write_title(event: Event) -> str:
    """Return an event in one line.

    Examples
    --------
    >>> write_title(Event(7, 0.0, "run.failed", "c07e12", {"name": "fit", "what": "no such column"}, project="air"))
    'run.failed fit c07e12: no such column [air]'
    """
    body = event.body if isinstance(event.body, dict) else {}
    told = next((body[key] for key in ("summary", "what", "why", "reason") if isinstance(body.get(key), str)), "")
    name = body.get("name")
    words = [event.kind, *([name] if isinstance(name, str) and name not in event.subject else []), event.subject]
    line = " ".join(word for word in words if word) + (f": {told}" if told else "")
    return f"{' '.join(line.split())[:_MOST_CHARACTERS]} [{event.project}]"


def write_lines(event: Event) -> list[str]:
    """Return the details of an event, a line for each.

    Examples
    --------
    >>> write_lines(Event(7, 0.0, "alarm", "delays", {"summary": "drift", "evidence": {"p": 0.01}}))
    ['summary: drift', 'evidence: {"p": 0.01}', 'event: 7']
    """
    body = event.body if isinstance(event.body, dict) else {} if event.body is None else {"body": event.body}
    lines = [f"{key}: {_write(value)}"[:_MOST_CHARACTERS] for key, value in body.items() if value is not None]
    return [*lines, f"event: {event.seq}"]


def _write(value: Any) -> str:
    import json

    return " ".join(value.split()) if isinstance(value, str) else json.dumps(value)
