"""A real MLflow server over its REST API: a client as small as moving a record there and back needs."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

from mainspring.domain.errors import Denied, Invalid, NotFound, Unavailable
from mainspring.security.fetch import Answer, ask_streaming, split_url

CALL_S = 120.0
"""Seconds for one call."""

FILE_S = 3_600.0
"""Seconds for one file."""

MOST_BYTES = 256 * 1024 * 1024
"""Longest answer of a call that is read."""

_API = "/api/2.0/mlflow"
_FILES = "/api/2.0/mlflow-artifacts/artifacts"
_PAGE = 1_000
_MODELS_PAGE = 100
_HISTORY_PAGE = 25_000
_TRIES = 3
_NOT_FOUND = 404


class MlflowServer:
    """Asks one MLflow server.

    Parameters
    ----------
    url : str
        ``http://host:port``, with a path when it stands below one. Whoever runs this process names
        it, so it may be of this machine or network.

    Raises
    ------
    Invalid
        FETCH-005 for an address that is none, or that holds a password.

    Notes
    -----
    Who asks is told by the variables that MLflow's own clients read: ``MLFLOW_TRACKING_TOKEN``, or
    ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``. They go into headers and nowhere else.
    """

    def __init__(self, url: str) -> None:
        parts = split_url(url)
        if parts.query or parts.username:
            raise Invalid("FETCH-005", f"the address at {parts.hostname} holds a user or a query")
        self.url = url.rstrip("/")
        self.place = f"{parts.hostname}:{parts.port or ''}".rstrip(":") + parts.path.rstrip("/")
        self._headers = _read_credentials()

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Read with GET; `path` stands below the API."""
        text = urlencode({name: value for name, value in query.items() if value not in {None, ""}})
        return self._call("GET", f"{_API}/{path}{f'?{text}' if text else ''}")

    def post(self, path: str, body: Mapping[str, Any], method: str = "POST") -> dict[str, Any]:
        """Send JSON."""
        return self._call(method, f"{_API}/{path}", json.dumps(body).encode())

    def list_experiments(self) -> Iterator[dict[str, Any]]:
        """Yield the experiments that are not deleted."""
        return self.list_all("experiments/search", "experiments", {"view_type": "ACTIVE_ONLY"})

    def list_runs(self, experiment_id: str) -> Iterator[dict[str, Any]]:
        """Yield the runs of an experiment that are not deleted."""
        asked = {"experiment_ids": [experiment_id], "run_view_type": "ACTIVE_ONLY"}
        return self.list_all("runs/search", "runs", asked)

    def list_models(self, experiment_id: str) -> Iterator[dict[str, Any]]:
        """Yield the logged models of an experiment."""
        asked = {"experiment_ids": [experiment_id], "max_results": _MODELS_PAGE}
        return self.list_all("logged-models/search", "models", asked)

    def list_history(self, run_id: str, key: str) -> Iterator[dict[str, Any]]:
        """Yield the points of a series."""
        asked = {"run_id": run_id, "metric_key": key, "max_results": _HISTORY_PAGE}
        return self.list_got("metrics/get-history", "metrics", **asked)

    def list_names(self) -> Iterator[dict[str, Any]]:
        """Yield the registered models."""
        return self.list_got("registered-models/search", "registered_models", max_results=_PAGE)

    def list_versions(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the versions of a registered model."""
        quote_mark = '"' if "'" in name else "'"
        asked = {"filter": f"name={quote_mark}{name}{quote_mark}", "max_results": _PAGE}
        return self.list_got("model-versions/search", "model_versions", **asked)

    def list_all(self, path: str, key: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield every item of a search, page after page."""
        page = ""
        while True:
            answer = self.post(path, {"max_results": _PAGE, **body, **({"page_token": page} if page else {})})
            yield from answer.get(key, ())
            page = answer.get("next_page_token", "")
            if not page:
                return

    def list_got(self, path: str, key: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield every item of a search that is asked with GET."""
        page = ""
        while True:
            answer = self.get(path, **query, page_token=page)
            yield from answer.get(key, ())
            page = answer.get("next_page_token", "")
            if not page:
                return

    def list_files(self, uri: str, below: str = "") -> Iterator[tuple[str, int]]:
        """Yield path and length of every file below an address of artifacts.

        Raises
        ------
        Invalid
            IMPORT-002 when the server does not serve the files of this address itself.
        """
        answer = self._call("GET", f"{_FILES}?{urlencode({'path': _locate(uri, below)})}")
        for each in answer.get("files", ()):
            path = f"{below}/{each['path']}" if below else str(each["path"])
            if each.get("is_dir"):
                yield from self.list_files(uri, path)
            else:
                yield path, int(each.get("file_size", 0))

    def open_file(self, uri: str, path: str) -> Answer:
        """Return the bytes of a file as a stream to be closed."""
        return self._open("GET", f"{_FILES}/{quote(_locate(uri, path))}", FILE_S)

    def send_file(self, uri: str, path: str, content: BinaryIO, size_bytes: int) -> None:
        """Send a file."""
        target = f"{_FILES}/{quote(_locate(uri, path))}"
        with self._open("PUT", target, FILE_S, content, {"Content-Length": str(size_bytes)}) as answer:
            answer.read(MOST_BYTES)

    def _call(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        kind = {"Content-Type": "application/json"} if body is not None else {}
        for left in reversed(range(_TRIES)):
            try:
                with self._open(method, path, CALL_S, body, kind) as answer:
                    return _decode(answer.read(MOST_BYTES), self.place)
            except Unavailable:
                # A GET, and a search, may be asked again; what writes is idempotent in import and export.
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _open(
        self,
        method: str,
        path: str,
        timeout_s: float,
        body: bytes | BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        given = {**self._headers, **(headers or {})}
        answer = ask_streaming(
            self.url + path, method=method, body=body, headers=given, timeout_s=timeout_s, private=True
        )
        if answer.status < 300:
            return answer
        with answer:
            raise _refuse(answer, urlsplit(path).path, self.place)


def _locate(uri: str, path: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme != "mlflow-artifacts" or parts.netloc:
        what = f"files lie at {parts.scheme or 'a folder'}, which the server does not serve"
        raise Invalid("IMPORT-002", what, scheme=parts.scheme)
    return "/".join(each for each in (parts.path.strip("/"), path) if each)


def _read_credentials() -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME", ""), os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user and password:
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _decode(body: bytes, place: str) -> dict[str, Any]:
    try:
        answer = json.loads(body or b"{}")
    except ValueError:
        raise Unavailable("FETCH-004", f"{place} answers with no JSON", place=place) from None
    return answer if isinstance(answer, dict) else {}


def _refuse(answer: Answer, path: str, place: str) -> Denied | Invalid | NotFound | Unavailable:
    """Return the refusal of a server as ours: its own words, cut."""
    try:
        told = json.loads(answer.read(65_536))
        message = str(told.get("message", ""))[:500] if isinstance(told, dict) else ""
    except ValueError:
        message = ""
    what = f"{place}{path} answers {answer.status}: {message or answer.reason}"
    if answer.status in {401, 403}:
        return Denied("IMPORT-001", what, place=place)
    if answer.status == _NOT_FOUND:
        return NotFound("IMPORT-003", what, place=place)
    if answer.status >= 500:
        return Unavailable("FETCH-004", what, place=place)
    return Invalid("IMPORT-004", what, place=place)
