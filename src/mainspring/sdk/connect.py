"""Which owner this process talks to."""

from __future__ import annotations

import os
from pathlib import Path

from mainspring.domain.errors import Invalid


def connect(url: str | None = None, *, project: str | None = None, token: str | None = None) -> None:
    """Choose the record that this process works in from now on.

    Parameters
    ----------
    url : str, optional
        Path of a home's folder, or a ``file://`` URL of one. None keeps ``MAINSPRING_HOME`` or the
        per-user home.
    project : str, optional
        Name of the project, ``default`` at first.
    token : str, optional
        For remote owners; a local home knows its user by the socket.

    Raises
    ------
    Invalid
        HOME-017 when the URL or token are for an owner that is not local.
    """
    if token is not None or (url and "://" in url and not url.startswith("file://")):
        given = url if url and "://" in url else "token"
        raise Invalid("HOME-017", f"this release connects to local homes only, not to {given}")
    if url:
        os.environ["MAINSPRING_HOME"] = str(Path(url.removeprefix("file://")).expanduser().absolute())
    if project:
        os.environ["MAINSPRING_PROJECT"] = project
