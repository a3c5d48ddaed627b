"""Which owner this process talks to."""

from __future__ import annotations

import os
from pathlib import Path

from mainspring.domain.errors import Invalid


def connect(
    url: str | None = None,
    *,
    project: str | None = None,
    token: str | None = None,
    certificate: str | None = None,
) -> None:
    """Choose the record that this process works in from now on.

    Parameters
    ----------
    url : str, optional
        Path of a home's folder, a ``file://`` URL of one, or the address of a server,
        ``https://host:port``, as `mainspring up` prints it. None keeps what is chosen:
        ``MAINSPRING_URL``, else ``MAINSPRING_HOME``, else the per-user home.
    project : str, optional
        Name of the project, ``default`` at first.
    token : str, optional
        In whose name a server is asked; None keeps ``MAINSPRING_TOKEN``.
    certificate : str, optional
        SHA-256 of the server's certificate, as `mainspring up` prints it, or the file of an
        authority; None keeps ``MAINSPRING_CERTIFICATE``, else the system's authorities.

    Raises
    ------
    Invalid
        HOME-017 for an address that is neither, or for a token without a server; API-006 for
        ``http://`` beyond loopback.

    Examples
    --------
    >>> ms.connect("https://192.0.2.10:8430", token="msp_...", project="air")  # doctest: +SKIP
    """
    remote = url if url is not None and url.startswith(("http://", "https://")) else None
    if url and "://" in url and remote is None and not url.startswith("file://"):
        raise Invalid("HOME-017", f"{url.partition('://')[0]}:// is neither a home nor a server")
    if (token or certificate) and not (remote or (url is None and os.environ.get("MAINSPRING_URL"))):
        raise Invalid("HOME-017", "a token or certificate is for a server, and no server is named")
    if remote:
        from mainspring.sdk.https import read_address

        read_address(remote)
        os.environ["MAINSPRING_URL"] = remote
    elif url:
        os.environ.pop("MAINSPRING_URL", None)
        os.environ["MAINSPRING_HOME"] = str(Path(url.removeprefix("file://")).expanduser().absolute())
    chosen = {"MAINSPRING_TOKEN": token, "MAINSPRING_CERTIFICATE": certificate, "MAINSPRING_PROJECT": project}
    os.environ.update({name: value for name, value in chosen.items() if value})
