"""How to speak to a Kubernetes cluster: what a kubeconfig says of a context, or what a pod finds in itself."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from pathlib import Path
from typing import Any

from mainspring.domain.errors import Invalid
from mainspring.models.yaml import read_yaml

IN_CLUSTER = "in-cluster"
"""The context of an owner that is itself in a pod."""

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_UNREAD = ("exec", "auth-provider", "username", "impersonate", "as")


class Access:
    """A cluster, and who one is there.

    Parameters
    ----------
    server : str
        URL of its API.
    authority : str
        Certificates in PEM that may sign the server's; empty: those of this machine.
    token_file, token : str
        What is shown; the file is read each time, because clusters change it.
    identity : tuple of str
        Certificate and key in PEM, where one is known by them.
    unverified : bool
        The kubeconfig says that the server's certificate is not looked at.
    """

    def __init__(
        self,
        server: str,
        authority: str = "",
        token: str = "",
        token_file: str = "",
        identity: tuple[str, str] | None = None,
        *,
        unverified: bool = False,
    ) -> None:
        self.server = server.rstrip("/")
        self._token = token
        self._token_file = token_file
        self.context = (
            _make_context(authority, identity, unverified=unverified) if server.startswith("https:") else None
        )

    def make_headers(self) -> dict[str, str]:
        """Return what tells who asks."""
        token = Path(self._token_file).read_text().strip() if self._token_file else self._token
        return {"Authorization": f"Bearer {token}"} if token else {}


def read_access(context: str, path: str = "") -> Access:
    """Read how to speak to the cluster of a context.

    Parameters
    ----------
    context : str
        Its name; ``in-cluster``: what a pod finds in itself.
    path : str, default ``KUBECONFIG`` or ``~/.kube/config``
        The kubeconfig.

    Raises
    ------
    Invalid
        WORK-018 when it is missing, cannot be read, or asks for more than a token or a certificate.
    """
    if context == IN_CLUSTER:
        return _read_pod()
    # Of several files the first with that context counts, which is what kubectl does for one that stands in one file.
    paths = [path] if path else os.environ.get("KUBECONFIG", "").split(os.pathsep)
    files = [Path(each).expanduser() for each in paths if each] or [Path("~/.kube/config").expanduser()]
    seen = []
    for file in files:
        try:
            found = read_yaml(file.read_text())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as fault:
            raise _refuse(f"{file} cannot be read: {fault}") from None
        names = _list_named(found, "contexts", "context")
        if context in names:
            return _read_context(found, names[context], file)
        seen += sorted(names)
    what = f"; there are {', '.join(seen)}" if seen else ""
    raise _refuse(f"{' and '.join(map(str, files))} has no context {context!r}{what}")


def _read_context(found: Any, context: dict[str, Any], file: Path) -> Access:
    cluster = _list_named(found, "clusters", "cluster").get(str(context.get("cluster")))
    user = _list_named(found, "users", "user").get(str(context.get("user")), {})
    if cluster is None or not str(cluster.get("server", "")).startswith(("https://", "http://")):
        raise _refuse(f"{file} names no server for the cluster {context.get('cluster')!r}")
    unread = [name for name in _UNREAD if user.get(name)]
    if unread and not any(user.get(name) for name in ("token", "tokenFile", "client-key", "client-key-data")):
        raise _refuse(
            f"{file} has {context.get('user')!r} log in by {unread[0]}; a token or a certificate is read here"
        )
    certificate, key = (_read_pem(user, name, file) for name in ("client-certificate", "client-key"))
    return Access(
        str(cluster["server"]),
        _read_pem(cluster, "certificate-authority", file),
        str(user.get("token") or ""),
        str(file.parent / user["tokenFile"]) if user.get("tokenFile") else "",
        (certificate, key) if certificate and key else None,
        unverified=cluster.get("insecure-skip-tls-verify") is True,
    )


def _read_pod() -> Access:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (_ACCOUNT / "token").exists():
        raise _refuse("this process is in no pod with a service account, and so has no context in-cluster")
    host = f"[{host}]" if ":" in host else host
    return Access(f"https://{host}:{port}", (_ACCOUNT / "ca.crt").read_text(), token_file=str(_ACCOUNT / "token"))


def _list_named(found: Any, what: str, inner: str) -> dict[str, dict[str, Any]]:
    """Return name -> content of a list of a kubeconfig."""
    items = found.get(what) if isinstance(found, dict) else None
    listed = [each for each in items or () if isinstance(each, dict) and isinstance(each.get(inner), dict)]
    return {str(each.get("name")): each[inner] for each in listed}


def _read_pem(found: dict[str, Any], name: str, file: Path) -> str:
    """Return a certificate or a key, which stands there or in a file that is named."""
    try:
        if found.get(f"{name}-data"):
            return base64.b64decode(found[f"{name}-data"], validate=True).decode()
        return (file.parent / str(found[name])).expanduser().read_text() if found.get(name) else ""
    except (OSError, ValueError, binascii.Error) as fault:
        raise _refuse(f"{name} of {file} cannot be read: {fault}") from None


def _make_context(authority: str, identity: tuple[str, str] | None, *, unverified: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=authority or None)
        if unverified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if identity is not None:
            # The library reads a key from files only.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write("\n".join(identity))
                file.flush()
                context.load_cert_chain(file.name)
    except (OSError, ssl.SSLError, ValueError) as fault:
        raise _refuse(f"a certificate or key of it cannot be used: {fault}") from None
    return context


def _refuse(what: str) -> Invalid:
    return Invalid("WORK-018", what)
