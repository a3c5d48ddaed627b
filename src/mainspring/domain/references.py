"""The one grammar for assets: ``name``, ``name@12``, ``name@champion``, ``name@2026-11-01``."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

import msgspec

from mainspring.domain.errors import Invalid

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}\Z")
_MODEL_NAME = re.compile(r"""[^\s@/:\\#;%?*|<>"'`](?:[^@/:\\#;%?*|<>"'`]{0,98}[^\s@/:\\#;%?*|<>"'`])?\Z""")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}\Z")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,49}\Z")


class Reference(msgspec.Struct, frozen=True):
    """A parsed reference; at most one of `number`, `alias` and `day` is set.

    Attributes
    ----------
    name : str
        The asset's name.
    number : int or None
        A pinned version, from 1.
    alias : str or None
        A followed alias.
    day : str or None
        As of the end of that day, ``YYYY-MM-DD`` UTC.
    """

    name: str
    number: int | None = None
    alias: str | None = None
    day: str | None = None

    def __str__(self) -> str:
        at = self.number if self.number is not None else self.alias or self.day
        return self.name if at is None else f"{self.name}@{at}"


def parse_reference(text: str, kind: str = "") -> Reference:
    r"""Read a reference.

    Parameters
    ----------
    text : str
        The reference.
    kind : str, default ""
        ``model``: the name may be one that clients of MLflow give, such as ``late arrivals (2026)``, which makes no
        folder. It is printable, has no space at its ends, is at most 100 characters long, and holds nothing that
        means something in a reference, path or address: none of ``@ / : \ # ; % ? * | < >`` and no quotes.

    Raises
    ------
    Invalid
        DATA-001 when the text is not in the grammar.

    Examples
    --------
    >>> parse_reference("orders@12").number
    12
    >>> str(parse_reference("delays@champion"))
    'delays@champion'
    >>> parse_reference("late arrivals@champion", "model").name
    'late arrivals'
    """
    if not isinstance(text, str):  # what people pass is checked nowhere before
        raise Invalid("DATA-001", f"{text!r:.100} is not a reference")
    name, mark, at = text.partition("@")
    if not (_NAME.match(name) or (kind == "model" and _is_model_name(name))) or (mark and not at):
        raise Invalid("DATA-001", f"{text!r} is not a reference", reference=text)
    if not mark:
        return Reference(name)
    if _NUMBER.match(at):
        return Reference(name, number=int(at))
    if _ALIAS.match(at):
        return Reference(name, alias=at)
    try:
        return Reference(name, day=date.fromisoformat(at).isoformat())
    except ValueError:
        raise Invalid("DATA-001", f"{text!r} is not a reference", reference=text) from None


def _is_model_name(name: str) -> bool:
    plain = name.isprintable() and name not in {".", ".."} and unicodedata.normalize("NFKC", name) == name
    return plain and _MODEL_NAME.match(name) is not None
