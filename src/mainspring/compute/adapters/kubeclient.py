"""Asks the API server of a Kubernetes cluster, over the one way out that there is."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from mainspring.compute.adapters.kubeconfig import Access
from mainspring.domain.errors import Denied, Invalid, MainspringError
from mainspring.security.fetch import Answer, ask_streaming

ANSWER_S = 20.0
"""A request takes no longer."""

WATCH_S = 30
"""So long a server is asked to tell of changes, before it is asked anew."""

RELIST_S = 60.0
"""After which all is asked for again, whatever the changes said: some get lost without a word."""

_MOST_BYTES = 256 << 20
_BUSY = frozenset({408, 425, 429})
_GONE = 410
_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)


class AwayError(Exception):
    """The server cannot answer now; it may be asked again after `pause_s`."""

    def __init__(self, what: str, pause_s: float = 0.0) -> None:
        super().__init__(what)
        self.pause_s = pause_s


class RefusalError(Exception):
    """The server will not do it, and why: `status` of HTTP, and its words."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


class KubeClient:
    """Asks one API server.

    Parameters
    ----------
    access : Access
        Where it is, and who asks.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def ask(self, method: str, path: str, body: Any = None, **query: object) -> dict[str, Any]:
        """Ask for an object or have one changed; a PATCH is merged.

        Raises
        ------
        AwayError, RefusalError
            It is not done.
        """
        with self._send(method, path, body, query, ANSWER_S) as answer:
            return _read_object(answer.read())

    def read(self, path: str, **query: object) -> bytes:
        """Return what stands at a path, as it is."""
        with self._send("GET", path, None, query, ANSWER_S) as answer:
            return answer.read(_MOST_BYTES)

    def watch(self, path: str, **query: object) -> Iterator[dict[str, Any]]:
        """Yield changes as they come, until the server ends it."""
        query |= {"watch": 1, "allowWatchBookmarks": "true", "timeoutSeconds": WATCH_S}
        with self._send("GET", path, None, query, WATCH_S + ANSWER_S) as answer:
            while line := answer.readline():
                yield _read_object(line)

    def _send(self, method: str, path: str, body: Any, query: Mapping[str, object], timeout_s: float) -> Answer:
        words = urlencode({name: text for name, text in query.items() if text != ""})
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        try:
            answer = ask_streaming(
                f"{self._access.server}{path}{'?' if words else ''}{words}",
                method=method,
                body=json.dumps(body).encode() if body is not None else None,
                headers={"Accept": "application/json", "Content-Type": kind, **self._access.make_headers()},
                timeout_s=timeout_s,
                private=True,
                context=self._access.context,
            )
        except (Denied, Invalid) as fault:
            raise RefusalError(0, fault.what) from None
        except (MainspringError, OSError) as fault:
            raise AwayError(fault.what if isinstance(fault, MainspringError) else str(fault)) from None
        if answer.status < 300:
            return answer
        with answer:
            _refuse(answer)
        raise AssertionError


def _refuse(answer: Answer) -> None:
    """Raise what an answer that is no good says."""
    try:
        told = _read_object(answer.read(1 << 16))
    except AwayError:
        told = {}
    what = str(told.get("message") or f"{answer.status} {answer.reason}")[:500]
    if answer.status in _BUSY or answer.status >= 500:
        pause = answer.headers.get("retry-after", "")
        raise AwayError(what, float(pause) if pause.isdecimal() and len(pause) < 4 else 0.0)
    raise RefusalError(answer.status, what)


def _read_object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        raise AwayError("it answers what is no JSON") from None
    if not isinstance(found, dict):
        raise AwayError("it answers what is no object")
    return found


class Watch:
    """Keeps the objects of one kind as they are there, in a thread.

    Parameters
    ----------
    client : KubeClient
        Of the cluster.
    path, selector : str
        Which objects.
    notify : callable
        Called after each change.

    Attributes
    ----------
    items : dict of str to dict
        Name -> object.
    listed_at : float or None
        Monotonic time at which all were told last; None: never.
    problem : str
        Why they are not told now; empty: they are.
    """

    def __init__(self, client: KubeClient, path: str, selector: str, notify: Callable[[], None]) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.listed_at: float | None = None
        self.problem = ""
        self._client = client
        self._path = path
        self._selector = selector
        self._notify = notify
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"watch {path}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; what the thread waits for is left to it."""
        self._ended.set()

    def _live(self) -> None:
        failed = 0
        while not self._ended.is_set():
            try:
                version = self._list()
                self.problem, failed = "", 0
                until = time.monotonic() + RELIST_S
                while time.monotonic() < until and not self._ended.is_set():
                    version = self._follow(version)
            except RefusalError as fault:
                if fault.status != _GONE:
                    failed = self._fail(str(fault), failed, 0.0)
            except AwayError as fault:
                failed = self._fail(str(fault), failed, fault.pause_s)

    def _fail(self, what: str, failed: int, pause_s: float) -> int:
        self.problem = what
        self._notify()
        self._ended.wait(max(pause_s, _PAUSES_S[min(failed, len(_PAUSES_S) - 1)]))
        return failed + 1

    def _list(self) -> str:
        """Ask for all; return the version from which on changes are new."""
        items: dict[str, dict[str, Any]] = {}
        more = version = ""
        while True:
            told = self._client.ask("GET", self._path, labelSelector=self._selector, limit=500, **{"continue": more})
            items |= {each["metadata"]["name"]: each for each in told.get("items") or ()}
            head = told.get("metadata") or {}
            version, more = str(head.get("resourceVersion", "")), str(head.get("continue") or "")
            if not more:
                break
        self.items, self.listed_at = items, time.monotonic()
        self._notify()
        return version

    def _follow(self, version: str) -> str:
        """Hear of changes until the server ends it; return the version of the last."""
        for event in self._client.watch(self._path, labelSelector=self._selector, resourceVersion=version):
            kind, thing = event.get("type"), event.get("object") or {}
            if kind == "ERROR":
                raise RefusalError(int(thing.get("code") or 0), str(thing.get("message") or "the watch has failed"))
            name = thing.get("metadata", {}).get("name", "")
            version = str(thing.get("metadata", {}).get("resourceVersion") or version)
            if kind == "DELETED":
                self.items.pop(name, None)
            elif kind in {"ADDED", "MODIFIED"}:
                self.items[name] = thing
            if kind != "BOOKMARK":
                self._notify()
            if self._ended.is_set():
                break
        return version
