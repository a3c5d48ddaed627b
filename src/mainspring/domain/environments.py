"""Messages of the wire about environments, and what may stand in one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mainspring.domain.command import Command
from mainspring.domain.errors import Invalid
from mainspring.domain.records import Run

MOST_REQUIREMENTS = 1_000

_REQUIREMENT = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\s*"  # name
    r"(?:\[[A-Za-z0-9._, -]*\])?\s*"  # extras
    r"(?:[<>=!~(][^@#;\n\r]*)?(?:;[^@#\n\r]*)?"  # versions, marker
)
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWN = "MAINSPRING_"


class LockEnvironment(Command):
    """Have requirements resolved and locked, once; answers with the run of kind ``environment`` that does or did it.

    Attributes
    ----------
    packages : list of str
        Requirements, by name.
    python : str
        Interpreter that they are resolved for; empty: the owner's.
    """

    packages: list[str]
    python: str = ""


class Locked(msgspec.Struct, frozen=True):
    """What a run of kind ``environment`` ends with.

    Attributes
    ----------
    lock : str
        Digest of the blob with every distribution, its version and the hashes of its files.
    packages : dict of str to str
        Distribution -> version.
    python : str
        Version of the interpreter that it was resolved for.
    """

    lock: str
    packages: dict[str, str]
    python: str


def check_packages(packages: Sequence[str]) -> None:
    """Refuse what is no requirement by name: an option, an address, a path or a comment would not be locked.

    Raises
    ------
    Invalid
        ENV-001, with the first of them.

    Examples
    --------
    >>> check_packages(["pandas==2.2", "uvicorn[standard]>=0.30 ; python_version < '3.13'"])
    """
    if len(packages) > MOST_REQUIREMENTS:
        raise Invalid("ENV-001", f"{len(packages):,} requirements; an environment has {MOST_REQUIREMENTS:,} at most")
    for each in packages:
        if not isinstance(each, str) or not _REQUIREMENT.fullmatch(each.strip()) or len(each) > 500:
            raise Invalid("ENV-001", f"{each!r:.100} is no requirement by name")


def check_python(version: str) -> None:
    """Refuse what is no version of Python.

    Raises
    ------
    Invalid
        ENV-006.
    """
    if not _VERSION.fullmatch(version):
        raise Invalid("ENV-006", f"python={version!r} is no version", fix='write it like "3.12"')


def check_variables(variables: Mapping[str, str]) -> None:
    """Refuse what an environment may not set: names that are none, the platform's own, and what is no text.

    Raises
    ------
    Invalid
        ENV-005, with the name alone.
    """
    for name, value in variables.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise Invalid("ENV-005", f"{name!r:.100} is no name of a variable")
        if name.startswith(_OWN):
            raise Invalid("ENV-005", f"{name} is a setting of the platform")
        if not isinstance(value, str) or "\0" in value:
            raise Invalid("ENV-005", f"the value of {name} is a {type(value).__name__}, not a text")


def name_lock(packages: Sequence[str], python: str) -> str:
    """Return the key that a lock of these requirements is known by."""
    body = ("environment", sorted({" ".join(each.split()) for each in packages}), python)
    return hashlib.sha256(repr(body).encode()).hexdigest()


ANSWERS: dict[type[Command], Any] = {LockEnvironment: Run}
