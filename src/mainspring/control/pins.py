"""The model files that services hold: linked into their folders, fetched off the owner's loop."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from mainspring.domain.errors import MainspringError
from mainspring.domain.home import Home
from mainspring.domain.ports import Blobs
from mainspring.serving.files import Desired

_RETRY_S = 5.0

_log = logging.getLogger(__name__)
_fetchers = ThreadPoolExecutor(2, thread_name_prefix="pins")
_fetches: dict[Path, tuple[float, Future[None]]] = {}


def pin_files(home: Home, service: str, blobs: Blobs, digests: Iterable[str]) -> dict[str, Path] | None:
    """Return files that stay as long as the service wants them.

    Parameters
    ----------
    home : Home
        Of the service.
    service : str
        What its folder is called.
    blobs : Blobs
        Where the bytes come from.
    digests : iterable of str
        The files that its revisions hold.

    Returns
    -------
    dict of str to Path, or None
        Digest -> file; None as long as some are still fetched.

    Notes
    -----
    Blobs in the home's folder are used where they are. Copies of an object store's blobs may be
    evicted, so the service's folder has links of its own. A fetch that fails is logged and
    repeated after five seconds; it holds nobody up.
    """
    wanted = set(digests)
    if not home.blob_store:
        return {digest: blobs.path(digest) for digest in wanted}
    folder = home.services / service / "models"
    pinned = {digest: folder / digest for digest in wanted}
    missing = [path for path in pinned.values() if not path.exists()]
    for path in missing:
        _fetch(path, blobs)
    return None if missing else pinned


def drop_files(folder: Path, desired: Desired) -> None:
    """Remove the links in a service's folder that no revision holds any more."""
    kept = {Path(file).name for revision in desired.revisions for file in revision.files.values()}
    for path in (folder / "models").glob("*"):
        if path.name not in kept:
            path.unlink(missing_ok=True)
            _fetches.pop(path, None)


def _fetch(path: Path, blobs: Blobs) -> None:
    begun, fetch = _fetches.get(path, (0.0, None))
    if fetch is not None and (not fetch.done() or time.monotonic() - begun < _RETRY_S):
        return
    _fetches[path] = (time.monotonic(), _fetchers.submit(_link, path, blobs))


def _link(path: Path, blobs: Blobs) -> None:
    try:
        copy = blobs.path(path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.link(copy, path)
    except (MainspringError, OSError) as error:
        _log.warning("the model file %s is not at hand: %s", path, error)
