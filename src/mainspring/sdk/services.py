"""Services: deploying a model, and asking and steering what was deployed."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from mainspring.domain import messages, records
from mainspring.domain.errors import Conflict, Invalid, MainspringError, Unavailable
from mainspring.domain.html import render_fields, render_table, tells_errors
from mainspring.domain.references import parse_reference
from mainspring.domain.wire import restore
from mainspring.sdk.context import active_run
from mainspring.sdk.inference import Endpoint, Prediction
from mainspring.sdk.lineage import current_client

if TYPE_CHECKING:
    from mainspring.sdk.client import Client

ROLLOUTS = ("canary", "direct")
_POLL_S = 0.05
_START_S = 120.0


class Referable(Protocol):
    """A model version, as `Model` is."""

    @property
    def reference(self) -> str:
        """Return the pinned reference."""
        ...


class Watching(Protocol):
    """What a service is watched for, as `Monitor` is."""

    def body(self) -> dict[str, Any]:
        """Return the JSON form."""
        ...


class Service:
    """A handle on a deployed service; nothing is asked before it is needed.

    Parameters
    ----------
    name : str
        Of the service.
    token : str, optional
        Bearer token, where the service wants one.

    Examples
    --------
    >>> ms.Service("delays").predict([{"wind": 3.0}])["probability"]  # doctest: +SKIP
    """

    def __init__(self, name: str, *, token: str = "") -> None:
        self.name = name
        self._client = current_client()
        self._endpoint = Endpoint(name, _Address(self._client, name), token)

    @property
    def record(self) -> records.Service:
        """What the owner knows of it now.

        Raises
        ------
        NotFound
            SERVE-001 when nothing was deployed under that name.
        """
        service: records.Service = self._client.ask(messages.GetService(self.name))
        return service

    @property
    def url(self) -> str:
        """Where it answers; empty before its first start."""
        return self.record.url

    @property
    def state(self) -> str:
        """starting, loading, ready, stopping or stopped."""
        return self.record.health

    @property
    def phase(self) -> str:
        """What its loop does now: checking, training, canary or steady."""
        return self.record.phase

    @property
    def statistics(self) -> dict[str, Any]:
        """What its process reported last, some 0.2 s ago: ``requests``, ``rows``, ``revisions`` ..."""
        found: dict[str, Any] = self.record.statistics or {}
        return found

    def predict(self, rows: Any, *, id: str = "", key: str = "", timeout_s: float = 60.0) -> Prediction:  # noqa: A002
        """Ask for predictions.

        Parameters
        ----------
        rows : frame, mapping or list of mapping
            A Polars or pandas frame, columns by name, one row by name, or one mapping a row: every
            input of the model and every context column of the service. None and NaN are nulls.
        id : str, optional
            Request id, up to 256 characters; default: a new one. A repeated id gets the first
            answer and is not counted again.
        key : str, optional
            While two revisions share the requests, equal keys go to the same one; default: the id.
        timeout_s : float
            Seconds after which it gives up; until then it asks again, under the same id, while
            the service restarts or its queue is full.

        Returns
        -------
        Prediction
            Outputs by name: ``prediction["probability"]``.

        Raises
        ------
        Invalid
            SERVE-004 to SERVE-007 an input is missing, unknown, of another type or shape;
            SERVE-008 too large.
        Conflict
            SERVE-013 the id was used for other rows; SERVE-022 the service is stopped.
        Failed
            SERVE-010 the model failed on these rows.
        Unavailable
            SERVE-003 no revision, SERVE-009 too busy, SERVE-020 nobody answers, in all that time.

        Notes
        -----
        Guarantees: an answer that comes back was recorded once. Costs some 0.25 ms of CPU here
        for a batch of 32 rows.
        """
        return self._endpoint.predict(rows, id=id, key=key, timeout_s=timeout_s)

    def rollback(self, reason: str = "") -> Service:
        """Make the revision before the live one live again; a running canary ends.

        Returns
        -------
        Service
            This one.

        Raises
        ------
        Conflict
            SERVE-040 when there is no earlier revision.
        """
        self._client.ask(messages.RollbackService(self.name, reason))
        return self

    def stop(self) -> Service:
        """Let it drain and end; its record and captured requests stay.

        Returns
        -------
        Service
            This one; `deploy` starts it again.
        """
        self._client.ask(messages.StopService(self.name))
        return self

    def wait_ready(self, timeout_s: float = _START_S) -> Service:
        """Wait until its desired state is in force, printing progress.

        Raises
        ------
        MainspringError
            Why the newest revision did not load; SERVE-020 when it takes longer, with what hinders the
        process if that is known.
        """
        deadline = time.monotonic() + timeout_s
        said = ""
        while True:
            service = self.record
            newest, problem = _find_newest(service)
            if newest is not None and problem is None and service.health == "ready":
                _tell(f"service {self.name} r{newest.number} {newest.model} ready at {service.url}")
                return self
            if problem is not None:
                raise problem
            if time.monotonic() >= deadline:
                cause = f": {service.problem.what}" if service.problem is not None else ""
                what = f"service {self.name} is {service.health} after {timeout_s:g} s{cause}"
                raise Unavailable("SERVE-020", what, name=self.name)
            if service.health != said:
                said = service.health
                _tell(f"service {self.name} {said} ...")
            time.sleep(_POLL_S)

    def __repr__(self) -> str:
        return f"Service({self.name!r})"

    @tells_errors
    def _repr_html_(self) -> str:
        record = self.record
        revisions = [(f"r{each.number}", each.model, f"{each.weight} %", each.state) for each in record.revisions[::-1]]
        state = record.health if record.desired else "stopped"
        problem = f"{record.problem.code}: {record.problem.what}" if record.problem else None
        fields = {"state": state, "follows": record.follows, "url": record.url, "problem": problem}
        told = render_fields(f"service {record.name}", fields)
        return told + render_table(("revision", "model", "weight", "state"), revisions)

    def __reduce__(self) -> tuple[Any, ...]:
        return Service, (self.name,)


class _Address:
    """Where a service answers; it knows no handle, so that a handle ends, and its sockets close, when it is let go."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._url = ""

    def __call__(self) -> str:
        """Return the URL; the last known one while the owner does not answer."""
        try:
            service: records.Service = self._client.ask(messages.GetService(self._name))
        except Unavailable:
            if not self._url:
                raise
            return self._url
        if not service.desired:
            raise Conflict("SERVE-022", f"service {self._name} is stopped", name=self._name, model=service.follows)
        self._url = service.url
        return self._url


def deploy(name: str, model: Referable | str, *, rollout: str = "canary", monitor: Watching | None = None) -> Service:
    """Set what a service serves, and wait until it answers; the same again changes nothing.

    Parameters
    ----------
    name : str
        Of the service; the model name of the Open Inference Protocol.
    model : Model or str
        ``name@alias`` is followed: when a verdict moves the alias, the service moves with it.
        ``name@number`` is pinned.
    rollout : str
        ``canary``: a new revision gets 10, then 50 percent of the requests, and all after it
        has answered enough without fault; ``direct``: all at once.
    monitor : Monitor, optional
        What is watched.

    Returns
    -------
    Service
        Ready.

    Raises
    ------
    Invalid
        SERVE-041 when nothing was promoted to the alias, SERVE-024 for another rollout.
    NotFound
        MODEL-001 when there is no such model.
    MainspringError
        Why the model could not be loaded; an earlier revision goes on.

    Examples
    --------
    >>> ms.deploy("delays", "delays@champion")  # doctest: +SKIP
    """
    if rollout not in ROLLOUTS:
        raise Invalid("SERVE-024", f"rollout {rollout!r} is none of {', '.join(ROLLOUTS)}", rollout=rollout)
    active = active_run()
    body = monitor.body() if monitor is not None else None
    reference: Any = getattr(model, "reference", model)
    parse_reference(reference, "model")
    run_id = active.run.id if active is not None else None
    service = Service(name)
    service._client.ask(messages.Deploy(name, reference, rollout, body, run_id))
    return service.wait_ready()


def _find_newest(service: records.Service) -> tuple[records.Revision | None, MainspringError | None]:
    """Return the newest wanted revision once its process has taken it over, and what hinders it."""
    wanted = [each for each in service.revisions if each.state in {"live", "canary"}]
    found = service.statistics or {}
    if not wanted or found.get("generation") != service.generation:
        return None, None
    status = found.get("revisions", {}).get(str(wanted[-1].number), {})
    if status.get("problem"):
        return wanted[-1], restore(msgspec.convert(status["problem"], records.Problem))
    return (wanted[-1] if status.get("state") == "ready" else None), None


def _tell(line: str) -> None:
    if os.environ.get("MAINSPRING_PROGRESS") != "0":
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - the progress of a script
