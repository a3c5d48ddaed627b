"""What the code of a run raised, as the record keeps it."""

from __future__ import annotations

from pathlib import Path

import mainspring
from mainspring.domain.errors import Failed, MainspringError
from mainspring.domain.records import Problem
from mainspring.domain.wire import describe
from mainspring.sdk.exposures import is_exposed

_OWN = str(Path(mainspring.__file__).parent)
_MOST_TEXT = 4_000
_MOST_TRACEBACK = 40_000


def explain_fault(name: str, fault: BaseException) -> Problem:
    """Turn what a run raised into a problem whose traceback shows the user's frames alone.

    Parameters
    ----------
    name : str
        Name of the run.
    fault : BaseException
        An error of the catalogue keeps its code; any other becomes RUN-006, an interrupt RUN-010.
    """
    text = _show(fault)
    if isinstance(fault, MainspringError):
        return describe(fault, text)
    code = "RUN-006"
    if isinstance(fault, KeyboardInterrupt):
        code, said = "RUN-010", f"{name} was interrupted"
    elif isinstance(fault, SystemExit):
        said = f"{name} called sys.exit({fault.code!r}); return a value instead"
    else:
        said = f"{name} raised {tell_fault(fault)}"
    return describe(Failed(code, said[:_MOST_TEXT]), text)


def _show(fault: BaseException) -> str:
    import traceback  # of code that fails

    told = traceback.TracebackException.from_exception(fault)
    seen: list[traceback.TracebackException | None] = [told]
    while seen:
        each = seen.pop()
        if each is not None:
            theirs = [frame for frame in each.stack if not frame.filename.startswith(_OWN)]
            each.stack = traceback.StackSummary.from_list(theirs)
            seen += [each.__cause__, each.__context__, *(each.exceptions or ())]
    # An exception's text may hold a cell, and so may that of each exception behind it.
    shown = [*told.stack.format(), f"{tell_fault(fault)}\n"] if is_exposed() else told.format()
    text = "".join(shown)
    return text if len(text) <= _MOST_TRACEBACK else f"...\n{text[-_MOST_TRACEBACK:]}"


def tell_fault(fault: BaseException) -> str:
    """Return type and text of what was raised; of code that has seen something sensitive the type alone."""
    said = "its text is withheld, for the run has seen what is sensitive" if is_exposed() else _text_of(fault)
    return f"{type(fault).__name__}: {said}"


def _text_of(fault: BaseException) -> str:
    try:
        return str(fault)
    except Exception as second:  # noqa: BLE001 - an exception's own code
        return f"(its text raised {type(second).__name__})"
