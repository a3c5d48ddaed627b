"""Futures: results that are not there yet."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar

from mainspring.domain.errors import Denied, Failed, Invalid, MainspringError
from mainspring.domain.messages import CancelRuns, GetRun, WaitRuns
from mainspring.domain.records import Run
from mainspring.domain.states import TERMINAL
from mainspring.domain.wire import restore
from mainspring.sdk.client import Client
from mainspring.sdk.edges import draw_edge
from mainspring.sdk.origins import remember_maker
from mainspring.sdk.progress import Tally

R_co = TypeVar("R_co", covariant=True)

_WAIT_S = 10.0


class Future(Generic[R_co]):
    """The result of a step that was submitted.

    A future can be passed to `submit` and `map` of another step, alone or within lists, tuples and
    dicts: that step is queued when the value is there. Anything else needs `result`.

    Notes
    -----
    An edge is resolved on this side: a thread waits for the value and submits then, so that the
    key of the second step is made of the content it really gets. The interpreter does not end
    before its edges are submitted.
    """

    def __init__(self, name: str, client: Client, run: Run | None = None, *, told: bool = False) -> None:
        self._name = name
        self._client = client
        self._run = run
        self._fault: BaseException | None = None
        self._submitted = threading.Event()
        self._asked = False
        self._told = told  # whether the pipeline's progress has its line
        self._tally: Tally | None = None
        self._value: tuple[Any] | None = None
        self._siblings: dict[Future[Any], None] | None = None
        if run is not None:
            self._submitted.set()

    @property
    def name(self) -> str:
        """Name of the step."""
        return self._name

    @property
    def id(self) -> str:
        """Id of the run; waits until what it depends on is there."""
        return self._get_run(None).id

    @property
    def run(self) -> Run | None:
        """The run as it was last heard of; None while it is not queued."""
        return self._run

    def done(self) -> bool:
        """Tell whether the run has ended."""
        if self._value is not None:
            return True
        if not self._submitted.is_set():
            return False
        if self._fault is None and self._run is not None and self._run.state not in TERMINAL:
            self._run = self._client.ask(GetRun(id=self._run.id))
        return self._run is None or self._run.state in TERMINAL

    def result(self, timeout: float | None = None) -> R_co:
        """Wait for the value.

        Parameters
        ----------
        timeout : float, optional
            Seconds; None waits as long as it takes.

        Returns
        -------
        object
            What the step returned.

        Raises
        ------
        TimeoutError
            It has not ended in time; it goes on.
        Failed
            RUN-006 when the step raised, with its traceback as a note; RUN-007, RUN-008 or
            RUN-010 when it ended otherwise.
        """
        self._asked = True
        if self._value is None:
            from mainspring.tracking.codecs import load_value

            run = self._wait(timeout)
            if run.state != "succeeded":
                raise explain_end(run)
            value = None
            if run.outputs is not None:
                try:
                    value = load_value(run.outputs, self._client.blobs, self._client.seal)
                except Denied as fault:
                    if fault.code != "HOME-012" or not self._client.remote:
                        raise
                    raise Invalid("API-027", f"what {self._name} returned was pickled where it ran") from None
                remember_maker(value, run)
            self._value = (value,)
            if self._siblings is not None:
                self._siblings.pop(self, None)  # nobody needs to wait for it any more, nor to hold its value
        return self._value[0]  # type: ignore[no-any-return]

    def wait(self, timeout: float | None = None) -> Run:
        """Wait for the end, however it ends, and return the run.

        Raises
        ------
        TimeoutError
            It has not ended in time; it goes on.
        """
        self._asked = True
        return self._wait(timeout)

    def belong(self, siblings: dict[Future[Any], None]) -> None:
        """Join the children of a run, which waits for them at its end."""
        self._siblings = siblings
        siblings[self] = None

    def count_in(self, tally: Tally) -> Future[R_co]:
        """Tell of its end as one of many, instead of by a line of its own; return it."""
        self._tally = tally
        return self

    def cancel(self, reason: str = "cancelled by the user") -> None:
        """Cancel the run with everything below it."""
        self._client.ask(CancelRuns(ids=[self.id], reason=reason))

    def join(self) -> None:
        """Wait for the end; raise its fault unless somebody has asked for the result."""
        try:
            run = self._wait(None)
        except Exception:  # whatever the edge's own code raised: it was seen where the result was asked for
            if self._asked:
                return
            raise
        if run.state not in {"succeeded", "cancelled", "pruned"} and not self._asked:
            raise explain_end(run)

    def _wait(self, timeout: float | None) -> Run:
        began = time.monotonic()
        run = self._get_run(timeout)
        while run.state not in TERMINAL:
            left_s = _WAIT_S if timeout is None else timeout - (time.monotonic() - began)
            if left_s <= 0:
                raise TimeoutError(f"{self._name} is {run.state} after {timeout} s; the run is {run.id}")
            (run,) = self._client.ask(WaitRuns(ids=[run.id], wait_s=min(left_s, _WAIT_S)))
            self._run = run
        self._tell(run)
        return run

    def _get_run(self, timeout: float | None) -> Run:
        if not self._submitted.wait(timeout):
            raise TimeoutError(f"{self._name} waits for what it depends on after {timeout} s")
        if self._fault is not None:
            raise self._fault
        assert self._run is not None
        return self._run

    def _tell(self, run: Run) -> None:
        """Tell once how the step went, where a pipeline goes on or as one of many."""
        from mainspring.sdk.context import active_run

        if self._told:
            return
        active = active_run()
        progress = active.progress if active is not None else None
        if self._tally is None and progress is None:
            return
        self._told = True
        began, ended = run.started_at or run.created_at, run.ended_at or run.created_at
        failed, hit = run.state != "succeeded", run.cached_from is not None
        if self._tally is not None:
            self._tally.count(hit=hit, failed=failed)
        if progress is not None and (self._tally is None or failed):
            progress.tell_step(run.name, max(ended - began, 0.0), run.reason, hit=hit, failed=failed)

    def __repr__(self) -> str:
        state = self._run.state if self._run is not None else "waiting"
        return f"<Future of {self._name}, {state}>"

    def _misuse(self, what: str) -> NoReturn:
        raise TypeError(
            f"{what} needs the value of {self._name}, and this is a Future: write {self._name}_future.result(), "
            "or pass the Future to .submit() of another step"
        )

    def __iter__(self) -> NoReturn:
        self._misuse("iteration")

    def __getitem__(self, key: object) -> NoReturn:
        self._misuse(f"[{key!r}]")

    def __contains__(self, item: object) -> bool:
        self._misuse("in")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"a Future of {self._name} has no {name!r}: its value may; write .result().{name}", name=name, obj=self
        )


def _refuse(what: str) -> Callable[..., NoReturn]:
    def method(self: Future[Any], *_: object) -> NoReturn:
        self._misuse(what)

    return method


for _name, _what in (("bool", "a truth test"), ("len", "len()"), ("float", "float()"), ("int", "int()")):
    setattr(Future, f"__{_name}__", _refuse(_what))
for _name in ("lt", "le", "gt", "ge"):
    setattr(Future, f"__{_name}__", _refuse("a comparison"))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    setattr(Future, f"__{_name}__", _refuse("arithmetic"))
    setattr(Future, f"__r{_name}__", _refuse("arithmetic"))
for _name in ("neg", "pos", "abs", "invert", "round", "index"):
    setattr(Future, f"__{_name}__", _refuse("arithmetic"))


def defer(name: str, client: Client, submit: Callable[[], Run]) -> Future[Any]:
    """Return a future whose run is submitted by a thread, when what it depends on is there."""
    future: Future[Any] = Future(name, client)
    context = contextvars.copy_context()

    def work() -> None:
        try:
            future._run = context.run(submit)
        except BaseException as fault:  # noqa: BLE001 - it is raised where the result is asked for
            future._fault = fault
        finally:
            future._submitted.set()

    draw_edge(name, work)
    return future


def has_futures(value: Any) -> bool:
    """Tell whether a value is a future, or a list, tuple or dict with one in it."""
    kind = type(value)
    if kind is Future:
        return True
    if kind is dict:
        value = list(value.values())
    elif kind not in {list, tuple}:
        return False
    kinds = set(map(type, value))  # long lists of plain values cost one pass
    return Future in kinds or (bool(kinds & {list, tuple, dict}) and any(map(has_futures, value)))


def resolve(value: Any) -> Any:
    """Put the results in the place of the futures."""
    if isinstance(value, Future):
        return value.result()
    if type(value) in {list, tuple} and has_futures(value):
        return type(value)(resolve(part) for part in value)
    if type(value) is dict and has_futures(value):
        return {name: resolve(part) for name, part in value.items()}
    return value


def explain_end(run: Run) -> MainspringError:
    """Return the error of a run that did not succeed; a remote traceback stands in its notes."""
    if run.problem is None:
        return Failed("RUN-006", f"{run.name} ended as {run.state}", run=run.id)
    error = restore(run.problem)
    if run.problem.traceback:
        error.add_note(f"in run {run.id}, attempt {run.attempt}:\n{run.problem.traceback}")
    return error
