"""The claim of a record on the place where its blobs lie."""

from __future__ import annotations

import logging

from mainspring.control.commits import GroupCommit
from mainspring.domain.errors import Denied, Unavailable
from mainspring.domain.home import Home
from mainspring.domain.ports import Blobs
from mainspring.store.choices import is_chosen, keep_choices
from mainspring.store.schema import read_record_id

_log = logging.getLogger(__name__)


def claim_blobs(commits: GroupCommit, home: Home, blobs: Blobs) -> None:
    """Mark the place of the blobs as this record's, and keep the home's choices from then on.

    Raises
    ------
    Conflict
        BLOB-004 when another record has claimed the place.
    Invalid
        BLOB-005 when the place ignores conditional writes.
    Denied, Unavailable
        BLOB-006, BLOB-007 or BLOB-008 when the place cannot be claimed for the first time.

    Notes
    -----
    A place that was claimed before and is out of reach is only logged: the record can be read
    without it, and each value that is asked for says what is wrong.
    """
    first = not is_chosen(home)
    if home.blob_store:
        try:
            blobs.claim(_read_record_id(commits), anew=first)
        except (Denied, Unavailable) as error:
            if first:
                raise
            _log.warning("%s", error)
    if first:
        keep_choices(home)


def _read_record_id(commits: GroupCommit) -> str:
    names: list[str] = []
    commits.call(lambda turn: names.append(read_record_id(turn.connection)))
    return names[0]
