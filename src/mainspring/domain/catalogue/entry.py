"""One entry of the catalogue."""

from __future__ import annotations

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """What is known about an error code.

    Attributes
    ----------
    code : str
        ``AREA-NNN``; never reused.
    kind : str
        The class of the error: invalid, not_found, conflict, denied, unavailable, failed.
    title : str
        The error in a few words.
    why : str
        Why it happens.
    fix : str
        The command or change that mends it.
    status : int
        Status of HTTP where the kind's own does not fit; 0: the kind's own.
    """

    code: str
    kind: str
    title: str
    why: str
    fix: str
    status: int = 0

    @property
    def http_status(self) -> int:
        """The status of an HTTP answer that carries this error."""
        return self.status or _HTTP[self.kind]

    @property
    def exit_code(self) -> int:
        """The exit code of a command that ends with this error."""
        return _EXIT[self.kind]


_HTTP = {"invalid": 400, "not_found": 404, "conflict": 409, "denied": 403, "unavailable": 503, "failed": 409}
"""What failed is what was asked about; the few mistakes of the server itself say 500 in their entry."""

_EXIT = {"failed": 1, "invalid": 2, "not_found": 3, "denied": 4, "conflict": 5, "unavailable": 6}

EXIT_CODES = {
    0: "done; also when the reader of a pipe has seen enough",
    1: "failed: the code that was run raised, or a check found something that is not in order",
    2: "wrong usage: a verb, option or value that is none; nothing was done",
    3: "not found: no such file, run, name or version",
    4: "denied: who asks may not",
    5: "conflict: the thing is in another state, somebody was first, or a gate refused",
    6: "unavailable: the owner, the server, the disk or a network does not answer",
    130: "interrupted by Ctrl-C",
}
"""What each exit code of the command line says; a script may rely on them."""
