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
