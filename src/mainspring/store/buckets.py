"""Objects of buckets that triggers wait for: which may be looked at, and what they look like from outside."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from mainspring.domain.errors import Denied, Invalid, Unavailable
from mainspring.store.locations import TABLE_SCHEMES, Location, parse_location
from mainspring.store.watches import MOST_FILES, Look

SETTING = "MAINSPRING_BUCKETS"

MOST_LISTED = 100_000
"""Objects that one look goes through to find those that match."""

MOST_LOOK_S = 60.0
"""A look that lists for longer gives up."""

_WILD = re.compile(r"[*?[]")
_MOST_LETTERS = 1024


class Pattern(NamedTuple):
    """Objects of one bucket.

    Attributes
    ----------
    bucket : Location
        Without a prefix.
    parts : tuple of str
        What stands between the slashes of a key; some may be patterns.
    """

    bucket: Location
    parts: tuple[str, ...]

    @property
    def folder(self) -> tuple[str, ...]:
        """The first parts, as far as they are no patterns."""
        wild = (at for at, part in enumerate(self.parts) if _WILD.search(part))
        return self.parts[: next(wild, len(self.parts))]

    def matches(self, key: str) -> bool:
        """Tell whether an object of a key is meant: ``*`` stays within a part, ``**`` is any number of them.

        Examples
        --------
        >>> incoming = parse_pattern("s3://sales/in/**/*.csv")
        >>> incoming.matches("in/2024/05/a.csv"), incoming.matches("in/a.csv"), incoming.matches("a.csv")
        (True, True, False)
        """
        return _fits(key.split("/"), self.parts)


def parse_pattern(text: str) -> Pattern:
    """Read which objects are meant.

    Parameters
    ----------
    text : str
        ``s3://bucket/prefix/*.csv``, ``gs://`` or ``az://``: an object, a folder, or a pattern.

    Raises
    ------
    Invalid
        RENEW-004 for another scheme and for parts that are no part of a key, BLOB-001 for what is no bucket.
    """
    scheme, _, rest = text.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in TABLE_SCHEMES:
        raise Invalid("RENEW-004", f"files of {scheme[:20]!r} are not watched: a path, s3://, gs:// or az://")
    place = parse_location(f"{scheme}://{bucket}")
    parts = tuple(key.removesuffix("/").split("/")) if key else ()
    if {"", ".", ".."} & {*parts} or len(key) > _MOST_LETTERS or not key.isprintable():
        raise Invalid("RENEW-004", f"{key[:200]!r} names no objects of a bucket")
    return Pattern(place, parts)


def check_approved(text: str) -> Pattern:
    """Return a pattern whose objects whoever runs the owner lets it look at.

    Raises
    ------
    Denied
        TRIGGER-009 when no place in ``MAINSPRING_BUCKETS`` holds all that the pattern may match.
    Invalid
        As `parse_pattern`; BLOB-001 when the setting names no buckets.
    """
    pattern = parse_pattern(text)
    approved = [parse_location(each) for each in os.environ.get(SETTING, "").split(",") if each.strip()]
    if not any(_holds(each, pattern) for each in approved):
        what = f"nobody has approved that triggers look at {text[:200]}"
        raise Denied("TRIGGER-009", what, bucket=pattern.bucket.url)
    return pattern


def look_in_bucket(text: str) -> Look:
    """Look at an object, at those of a folder, or at those that a pattern matches.

    Parameters
    ----------
    text : str
        As `parse_pattern` reads it.

    Returns
    -------
    Look
        By keys, sizes, marks of the content and times of change; no object is read.

    Raises
    ------
    Denied
        TRIGGER-009; BLOB-006 when the store refuses.
    Unavailable
        BLOB-002 without the library, BLOB-007 when the bucket is gone, BLOB-008 when it gives no answer.
    ValueError
        More than `MOST_FILES` match, or the look goes through too many or takes too long.
    """
    pattern = check_approved(text)
    try:
        from mainspring.store.adapters.obstore import list_bucket
    except ImportError as missing:
        raise Unavailable("BLOB-002", f"{pattern.bucket.url} needs {missing.name}") from None
    literal = pattern.folder == pattern.parts  # so it is an object, or those of a folder
    wanted = [pattern, *([Pattern(pattern.bucket, (*pattern.parts, "*"))] if literal else [])]
    begun, seen, newest = time.monotonic(), list[str](), None
    for number, found in enumerate(list_bucket(pattern.bucket, "/".join(pattern.folder), itself=literal)):
        if number >= MOST_LISTED or time.monotonic() - begun > MOST_LOOK_S:
            raise ValueError(f"too many objects lie beside those that match {text}: name a folder of their own")
        if not any(each.matches(found.key) for each in wanted):
            continue
        if len(seen) == MOST_FILES:
            raise ValueError(f"more than {MOST_FILES:,} files match {text}")
        seen.append(f"{found.key}\0{found.mark}\0{found.modified_at}\0{found.size_bytes}\0")
        newest = max(newest or 0.0, found.modified_at)
    stamp = hashlib.sha256("".join(sorted(seen)).encode())  # not every store lists by name
    return Look(stamp.hexdigest(), newest, len(seen))


def _holds(place: Location, pattern: Pattern) -> bool:
    """Tell whether everything that a pattern may match lies in a place."""
    within = tuple(place.prefix.split("/")) if place.prefix else ()
    same = (place.scheme, place.bucket) == (pattern.bucket.scheme, pattern.bucket.bucket)
    return same and pattern.folder[: len(within)] == within


def _fits(key: Sequence[str], wanted: tuple[str, ...]) -> bool:
    """Walk along all ways to read a pattern at once, so that no pattern takes long."""
    reached = {0}
    for part in (*wanted, "*") if wanted[-1:] == ("**",) else wanted:  # at its end ** names what lies in a folder
        if part == "**":
            reached = set(range(min(reached), len(key) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(key) and fnmatchcase(key[at], part)}
        if not reached:
            return False
    return len(key) in reached
