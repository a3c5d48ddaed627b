"""Asking a service for predictions: the Open Inference Protocol from the caller's side."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from mainspring.domain.catalogue import find_entry
from mainspring.domain.errors import Invalid, MainspringError, Unavailable, make_error

_BACKOFF_S = (0.01, 0.02, 0.05, 0.1, 0.25)


class Prediction(msgspec.Struct, frozen=True):
    """What a service answered to one request.

    Attributes
    ----------
    id : str
        Of the request; asked again under it, the service gives the same answer.
    revision : int
        Number of the revision that answered.
    model : str
        Its model, ``name@number``.
    outputs : dict of str to list
        One value for each row, such as ``label`` and ``probability``; a list of values where
        an output has several.
    """

    id: str
    revision: int
    model: str
    outputs: dict[str, list[Any]]

    def __getitem__(self, name: str) -> list[Any]:
        """Return one output."""
        return self.outputs[name]


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class _Request(msgspec.Struct, omit_defaults=True):
    id: str
    inputs: list[_Tensor]
    parameters: dict[str, str] | None = None


class _Reply(msgspec.Struct):
    id: str
    model_version: str
    outputs: list[_Tensor]
    parameters: dict[str, str] = {}


class _Column(msgspec.Struct):
    name: str
    datatype: str


class _Metadata(msgspec.Struct):
    inputs: list[_Column]


class _Refusal(msgspec.Struct):
    error: str
    code: str = ""
    why: str = ""
    fix: str = ""


def _encode_value(value: Any) -> Any:
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    raise Invalid("SERVE-023", f"{type(value).__name__} {value!r} is no value of a column")


_encoder = msgspec.json.Encoder(enc_hook=_encode_value)
_replies = msgspec.json.Decoder(_Reply)


class Endpoint:
    """The address of a service; safe to share between threads, and usable after a fork.

    Parameters
    ----------
    name : str
        Of the service.
    locate : callable
        Returns the service's URL; asked again when nobody answers there.
    token : str
        Bearer token; empty: none.
    """

    def __init__(self, name: str, locate: Callable[[], str], token: str = "") -> None:
        self.name = name
        self._locate = locate
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._idle: list[tuple[int, http.client.HTTPConnection]] = []
        self._datatypes: dict[str, str] = {}

    def predict(self, rows: Any, *, id: str = "", key: str = "", timeout_s: float = 60.0) -> Prediction:  # noqa: A002
        """Ask for rows; see `mainspring.sdk.services.Service.predict`."""
        deadline = time.monotonic() + timeout_s
        columns = read_columns(rows)
        if not self._datatypes:
            metadata = msgspec.json.decode(self._ask("GET", "", b"", deadline), type=_Metadata)
            self._datatypes = {column.name: column.datatype for column in metadata.inputs}
        tensors = [
            _Tensor(name, self._datatypes.get(name) or _guess(values), [len(values)], values)
            for name, values in columns.items()
        ]
        request = _Request(id or os.urandom(16).hex(), tensors, {"key": key} if key else None)
        try:
            answer = self._ask("POST", "/infer", _encoder.encode(request), deadline)
        except Invalid:
            self._datatypes = {}  # a new revision may take other inputs
            raise
        reply = _replies.decode(answer)
        outputs = {each.name: _fold(each) for each in reply.outputs}
        return Prediction(reply.id, int(reply.model_version), reply.parameters.get("model", ""), outputs)

    def close(self) -> None:
        """Close the connections that are open; new ones are opened when it is asked again."""
        while self._idle:
            self._idle.pop()[1].close()

    def __del__(self) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: bytes, deadline: float) -> bytes:
        """Ask until there is an answer: a request has an id, so a repetition is harmless."""
        tries = 0
        while True:
            try:
                status, content = self._exchange(method, path, body, deadline)
            except Unavailable as fault:
                error: MainspringError = fault
            except (ConnectionError, TimeoutError, http.client.HTTPException) as fault:
                self.close()
                error = Unavailable(
                    "SERVE-020", f"service {self.name} did not answer: {fault or type(fault).__name__}", name=self.name
                )
            else:
                if status == 200:
                    return content
                error = _read_refusal(self.name, status, content)
            if not isinstance(error, Unavailable) or time.monotonic() >= deadline:
                raise error
            time.sleep(_BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)])
            tries += 1

    def _exchange(self, method: str, path: str, body: bytes, deadline: float) -> tuple[int, bytes]:
        connection = self._take()
        connection.timeout = max(0.1, deadline - time.monotonic())
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        try:
            connection.request(method, f"/v2/models/{quote(self.name, safe='')}{path}", body, self._headers)
            reply = connection.getresponse()
            content = reply.read()
        except BaseException:
            connection.close()
            raise
        self._idle.append((os.getpid(), connection))
        return reply.status, content

    def _take(self) -> http.client.HTTPConnection:
        """Return an idle connection of this process, or a new one."""
        while self._idle:
            pid, connection = self._idle.pop()
            if pid == os.getpid():
                return connection
            connection.close()
        address = urlsplit(self._locate())
        if not address.hostname:
            raise Unavailable("SERVE-020", f"service {self.name} has no address yet", name=self.name)
        return http.client.HTTPConnection(address.hostname, address.port)


def read_columns(rows: Any) -> dict[str, list[Any]]:
    """Turn rows into lists by column.

    Parameters
    ----------
    rows : frame, mapping or list of mapping
        A Polars or pandas frame, columns by name, one row by name, or one mapping a row.

    Raises
    ------
    Invalid
        SERVE-023 when `rows` is none of these.

    Examples
    --------
    >>> read_columns({"wind": 3.5, "origin": "JFK"})
    {'wind': [3.5], 'origin': ['JFK']}
    """
    if isinstance(rows, Mapping):
        return {str(name): _to_list(values) for name, values in rows.items()}
    if hasattr(rows, "columns") and hasattr(rows, "__getitem__"):
        return {str(name): _to_list(rows[name]) for name in rows.columns}
    if isinstance(rows, list | tuple) and all(isinstance(row, Mapping) for row in rows):
        return {str(name): [row.get(name) for row in rows] for name in (rows[0] if rows else ())}
    raise Invalid("SERVE-023", f"rows are given as {type(rows).__name__}")


def _to_list(values: Any) -> list[Any]:
    for method in ("to_list", "tolist"):
        if hasattr(values, method):
            found = getattr(values, method)()
            return found if isinstance(found, list) else [found]
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str | bytes) else [values]


def _guess(values: list[Any]) -> str:
    """Name a datatype for a column that the service does not know, so that it can say so."""
    known = next((value for value in values if value is not None), None)
    return "BOOL" if isinstance(known, bool) else "BYTES" if isinstance(known, str) else "FP64"


def _fold(tensor: _Tensor) -> list[Any]:
    if len(tensor.shape) == 1 or tensor.shape[1] == 1:
        return tensor.data
    width = tensor.shape[1]
    return [tensor.data[start : start + width] for start in range(0, len(tensor.data), width)]


def _read_refusal(name: str, status: int, content: bytes) -> MainspringError:
    try:
        refusal = msgspec.json.decode(content, type=_Refusal)
        find_entry(refusal.code)
    except (msgspec.DecodeError, KeyError):
        return Unavailable("SERVE-020", f"something else answers there: HTTP {status}", status=status, name=name)
    return make_error(refusal.code, refusal.error, refusal.why, refusal.fix)
