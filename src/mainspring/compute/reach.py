"""How workers on machines elsewhere reach the home whose runs they execute, as the URL of a pool says it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from mainspring.compute.engine import Spec

OPTIONS = frozenset({"home", "server", "certificate"})
"""What the URL of a pool says of it."""

_DIGEST = re.compile(r"[0-9a-fA-F]{64}\Z")


class Reach(msgspec.Struct, frozen=True):
    """One of two ways.

    Attributes
    ----------
    home : str
        The home's folder there, where its owner answers at its socket.
    server, certificate : str
        Else a server of the home, and the SHA-256 of its certificate.
    """

    home: str = ""
    server: str = ""
    certificate: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """What tells the way to the process of an attempt."""
        if self.home:
            return {"MAINSPRING_HOME": self.home}
        return {"MAINSPRING_URL": self.server, "MAINSPRING_CERTIFICATE": self.certificate}

    def find_refusal(self, spec: Spec) -> str:
        """Tell why an attempt cannot be executed by this way; empty when it can."""
        if self.server and (spec.folder or spec.paths):
            return "its code does not travel: it was called in the home itself, and the machine has not its files"
        return ""


def read_reach(options: Mapping[str, str]) -> Reach:
    """Read it from the options of a URL.

    Raises
    ------
    ValueError
        They say neither way, or both; the text is for people.

    Examples
    --------
    >>> read_reach({"home": "/data/home", "python": "python3"}).variables
    {'MAINSPRING_HOME': '/data/home'}
    """
    reach = Reach(**{name: text for name, text in options.items() if name in OPTIONS})
    if bool(reach.home) == bool(reach.server):
        raise ValueError("workers reach the home by one of home= and server=")
    if reach.server and not (reach.server.startswith("https://") and _DIGEST.match(reach.certificate)):
        raise ValueError("server= is https://HOST:PORT, with the SHA-256 of its certificate as certificate=")
    return reach
