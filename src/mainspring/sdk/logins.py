"""Logins: the server that this user works at when the environment names none."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from mainspring.domain.errors import Denied, Invalid


class Login(msgspec.Struct, frozen=True):
    """A server and in whose name it is asked.

    Attributes
    ----------
    url : str
        ``https://host:port``.
    token : str
        As `mainspring tokens add` prints it.
    certificate : str
        SHA-256 of the server's certificate, or the file of an authority; empty: the system's ones.
    """

    url: str
    token: str
    certificate: str = ""

    def __repr__(self) -> str:
        return f"Login({self.url!r}, ***)"


def find_login() -> Login | None:
    """Return the server that this process works at, None for the home of this machine.

    ``MAINSPRING_URL`` names one, with ``MAINSPRING_TOKEN`` and ``MAINSPRING_CERTIFICATE``, or those of
    the login to it; else the login counts, unless ``MAINSPRING_HOME`` names a home.
    """
    url = os.environ.get("MAINSPRING_URL")
    if not url:
        return None if os.environ.get("MAINSPRING_HOME") else read_login()
    kept = read_login()
    kept = kept if kept is not None and kept.url == url else Login(url, "")
    token = os.environ.get("MAINSPRING_TOKEN") or kept.token
    return Login(url, token, os.environ.get("MAINSPRING_CERTIFICATE") or kept.certificate)


def read_login() -> Login | None:
    """Return the login of this user, None when there is none.

    Raises
    ------
    Denied
        HOME-008 when others may read it.
    Invalid
        API-026 when it cannot be read.
    """
    path = place_login()
    try:
        mode, content = path.stat().st_mode, path.read_bytes()
    except FileNotFoundError:
        return None
    if mode & 0o077:
        raise Denied("HOME-008", f"{path} has mode {mode & 0o777:04o}", fix=f"chmod 600 {path}, or: mainspring logout")
    try:
        return msgspec.json.decode(content, type=Login)
    except msgspec.DecodeError as fault:
        raise Invalid("API-026", f"{path}: {fault}") from None


def write_login(login: Login) -> Path:
    """Keep a login in place of the one before, whole or not at all, with mode 0600."""
    path = place_login()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.urandom(8).hex()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(login))
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return path


def remove_login() -> bool:
    """Forget the login; tell whether there was one."""
    path = place_login()
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


def place_login() -> Path:
    """Return where the login of this user is kept."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "mainspring" / "login.json"
