"""Where blobs and tables lie outside a home: addresses of object stores, never with credentials."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from mainspring.domain.errors import Invalid
from mainspring.domain.home import Home

TABLE_SCHEMES = frozenset({"az", "gs", "s3"})
"""Schemes whose stores hold Delta tables too."""

_SHAPE = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]*)(?:/(?P<prefix>.*))?")
_PREFIX = re.compile(r"[A-Za-z0-9._=-]+(?:/[A-Za-z0-9._=-]+)*")
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_PATIENCE = {"connect_timeout": "3s", "timeout": "60s"}
_OPTION = {"s3": "aws_endpoint_url", "gs": "google_base_url", "az": "azure_storage_endpoint"}


class Location(NamedTuple):
    """A part of an object store.

    Attributes
    ----------
    scheme : str
        Names the entry point of the group ``mainspring.blobs``.
    bucket : str
        Bucket or container.
    prefix : str
        Everything of a record lies under it; may be empty.
    """

    scheme: str
    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        """The address in one form, without a slash at its end."""
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")


def parse_location(text: str) -> Location:
    """Read the address of an object store.

    Parameters
    ----------
    text : str
        ``s3://bucket/prefix``.

    Raises
    ------
    Invalid
        BLOB-001 for anything else. The error shows no part of an address that could hold a secret.

    Examples
    --------
    >>> parse_location("s3://models/team-a/").url
    's3://models/team-a'
    """
    found = _SHAPE.fullmatch(text.strip())
    if found is None:
        shown = "an address with a user or options in it" if re.search(r"[@?]", text) else repr(text)
        raise Invalid("BLOB-001", f"{shown} names no bucket and prefix")
    prefix = (found["prefix"] or "").strip("/")
    parts = prefix.split("/")
    if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(parts)):
        shown = "it has a user or options in it" if re.search(r"[@?]", prefix) else repr(prefix)
        raise Invalid("BLOB-001", f"the prefix has more than letters, digits and ._=-/: {shown}")
    return Location(found["scheme"], found["bucket"], prefix)


def list_options(scheme: str) -> dict[str, str]:
    """Return what the libraries of tables are told of an object store; never a secret.

    Parameters
    ----------
    scheme : str
        ``s3``, ``gs`` or ``az``.

    Returns
    -------
    dict
        The endpoint that the environment names, leave to speak HTTP when it is one of HTTP, and
        how long to wait. Credentials stay in the environment, where those libraries read them.
    """
    endpoint = next((os.environ[name] for name in _ENDPOINTS.get(scheme, ()) if os.environ.get(name)), "")
    options = {_OPTION[scheme]: endpoint} if endpoint else {}
    return _PATIENCE | options | ({"allow_http": "true"} if may_speak_http(scheme) else {})


def may_speak_http(scheme: str) -> bool:
    """Tell whether the environment names an endpoint of HTTP for a scheme."""
    named = [os.environ.get(name, "") for name in _ENDPOINTS.get(scheme, ())]
    if scheme == "gs":
        named += re.findall(r'"gcs_base_url"\s*:\s*"([^"]*)"', os.environ.get("GOOGLE_SERVICE_ACCOUNT_KEY", ""))
    return any(each.startswith("http://") for each in named)


def find_tables(home: Home) -> Location | None:
    """Return where the tables of a home lie; None: in its folder."""
    if not home.blob_store:
        return None
    location = parse_location(home.blob_store)
    if location.scheme not in TABLE_SCHEMES:
        return None
    return location._replace(prefix=f"{location.prefix}/tables".lstrip("/"))
