"""What goes back over HTTP: JSON, chosen fields, problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from mainspring.domain.catalogue import find_entry
from mainspring.domain.errors import Invalid, MainspringError
from mainspring.domain.messages import RunPage

HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
PROBLEM = "application/problem+json"
_UNAUTHORIZED = 401


class ProblemAnswer(msgspec.Struct):
    """An error as RFC 9457 asks: what happened, why, and the way out.

    Attributes
    ----------
    type : str
        Names the code.
    title : str
        The error in a few words.
    status : int
        Of the answer.
    detail : str
        What happened, with the offending value.
    code : str
        `mainspring why CODE` explains it.
    why, fix : str
        The cause, and the command or change that mends it.
    context : JSON
        The values for machines.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    why: str
    fix: str
    context: dict[str, Any] = {}


def reply(value: Any, status: int = 200, media_type: str = "application/json") -> Response:
    """Answer with JSON that no browser guesses about or keeps."""
    headers = {**HEADERS, "WWW-Authenticate": "Bearer"} if status == _UNAUTHORIZED else HEADERS
    return Response(msgspec.json.encode(value, enc_hook=str), status, headers, media_type)


def reply_nothing() -> Response:
    """Answer that there is nothing to tell."""
    return Response(None, 204, HEADERS)


def reply_problem(error: MainspringError, allow: Sequence[str] = ()) -> Response:
    """Answer with a problem; `allow` are the verbs of the path, for one that it does not know."""
    entry = find_entry(error.code)
    problem = ProblemAnswer(
        f"about:mainspring#{error.code}",
        entry.title,
        entry.http_status,
        error.what,
        error.code,
        error.why,
        error.fix,
        error.context,
    )
    answer = reply(problem, entry.http_status, PROBLEM)
    answer.headers["Mainspring-Code"] = error.code  # an answer to HEAD has no body to tell it
    if allow:
        answer.headers["Allow"] = ", ".join(allow)
    if "wait_s" in error.context:
        answer.headers["Retry-After"] = str(math.ceil(error.context["wait_s"]))
    return answer


def choose_fields(answer: Any, names: Sequence[str]) -> Any:
    """Return an answer, or each item of a list or page, with the chosen fields only.

    Raises
    ------
    Invalid
        API-003 when the item has no such field.
    """
    if isinstance(answer, RunPage):
        return {"runs": choose_fields(answer.runs, names), "next": answer.next, "count": answer.count}
    if isinstance(answer, list):
        return [choose_fields(each, names) for each in answer]
    return {name: getattr(answer, name) for name in names}


def check_fields(text: str, item: type[Any]) -> tuple[str, ...]:
    """Read ``fields=id,name`` for items of a type.

    Raises
    ------
    Invalid
        API-003 when the type has no such field.
    """
    names = tuple(text.split(","))
    known = [field.name for field in msgspec.structs.fields(item)]
    for name in names:
        if name not in known:
            what = f"fields names {name[:40]!r}; there are {', '.join(known)}"
            raise Invalid("API-003", what, fields=text[:200])
    if len(set(names)) < len(names):
        raise Invalid("API-003", "fields names one twice", fields=text[:200])
    return names
