"""Where the record answers over HTTP, as programs are told: variables to source, and the note that `up` leaves."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec

from mainspring.domain.errors import Unavailable
from mainspring.domain.home import Home
from mainspring.domain.principals import DEFAULT_PROJECT

_KNOCK_S = 2.0


class Note(msgspec.Struct):
    """What `up` leaves in the home while it answers.

    Attributes
    ----------
    url : str
        Where it answers.
    certificate : str
        File of the certificate that it shows; empty: none of the home's.
    """

    url: str
    certificate: str = ""


class Variables(msgspec.Struct):
    """Variables by which programs find the record.

    Attributes
    ----------
    MLFLOW_TRACKING_URI : str
        For clients of MLflow, with user and token.
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT : str
        Keeps them from printing that address, and the token with it, at the end of each run.
    MAINSPRING_URL, MAINSPRING_TOKEN : str
        For ours.
    MLFLOW_TRACKING_SERVER_CERT_PATH, MAINSPRING_CERTIFICATE : str or None
        The certificate's file, where it is one that no authority vouches for.
    """

    MLFLOW_TRACKING_URI: str
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT: str
    MAINSPRING_URL: str
    MAINSPRING_TOKEN: str
    MLFLOW_TRACKING_SERVER_CERT_PATH: str | None = None
    MAINSPRING_CERTIFICATE: str | None = None

    def lines(self) -> list[str]:
        """Return what a shell sources."""
        told = {name: getattr(self, name) for name in self.__struct_fields__}
        return [f"export {name}={shlex.quote(text)}" for name, text in told.items() if text is not None]


@contextlib.contextmanager
def leave_note(home: Home, url: str, certificate: Path | None) -> Iterator[None]:
    """Let commands of this home know where it answers, as long as it does."""
    path = home.state / "up.json"
    body = msgspec.json.encode(Note(url, str(certificate or "")))
    path.write_bytes(body)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if path.read_bytes() == body:  # of those that were up at once, the last one's stays
                path.unlink()


def find_variables() -> Variables:
    """Return the variables of the server that this user works at, else of the `up` of the home.

    Raises
    ------
    Unavailable
        CLI-011 when nobody serves the home over HTTP.
    """
    from mainspring.sdk.homes import current_home, current_project
    from mainspring.sdk.logins import find_login
    from mainspring.security.tokens import home_token

    login = find_login()
    if login is not None:
        return make_variables(login.url, login.token, current_project(), login.certificate)
    home = current_home()
    try:
        note = msgspec.json.decode((home.state / "up.json").read_bytes(), type=Note)
    except (FileNotFoundError, msgspec.MsgspecError):
        note = None
    if note is None or not _answers(note.url):
        raise Unavailable("CLI-011", f"nobody serves {home.root} over HTTP")
    return make_variables(note.url, home_token(home), current_project(), note.certificate)


def make_variables(url: str, token: str, project: str, certificate: str = "") -> Variables:
    """Return the variables of a server.

    Parameters
    ----------
    url : str
        Where it answers.
    token : str
        What is shown there.
    project : str
        In which project clients of MLflow log.
    certificate : str, default ""
        Digest or file of its certificate; empty: an authority vouches for it.
    """
    parts = urlsplit(url)
    below = "" if project == DEFAULT_PROJECT else f"/projects/{quote(project)}"
    uri = f"{parts.scheme}://{quote(name_user(), safe='')}:{quote(token, safe='')}@{parts.netloc}{below}"
    file = certificate if certificate and Path(certificate).is_file() else None
    return Variables(uri, "true", url, token, file, certificate or None)


def name_user() -> str:
    """Return what this user is called; a server that is shown a token does not look at it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # nobody of that number is known here, as in a container
        return str(os.getuid())


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), _KNOCK_S):
            return True
    except OSError:
        return False
