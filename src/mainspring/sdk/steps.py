"""Steps: functions that are cached, placed and recorded, and stay functions."""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from types import MethodType
from typing import Any, Generic, ParamSpec, TypeVar, overload

from mainspring.domain.backoff import FIRST_S
from mainspring.domain.errors import Failed, Invalid, MainspringError
from mainspring.domain.messages import CancelRuns, RunSpec, SubmitRuns
from mainspring.domain.records import Call, Fingerprint, Run
from mainspring.sdk.calls import pack_call
from mainspring.sdk.client import Client
from mainspring.sdk.context import active_run
from mainspring.sdk.environments import HERE, Env, Prepared, find_env, prepare
from mainspring.sdk.exposures import expose
from mainspring.sdk.futures import Future, defer, has_futures, resolve
from mainspring.sdk.inline import begin_run, carry_out, select_params, warn
from mainspring.sdk.lineage import current_client
from mainspring.sdk.options import Options, make_options
from mainspring.sdk.origins import remember_maker
from mainspring.sdk.progress import Progress, Tally
from mainspring.sdk.provenance import provenance_of
from mainspring.sdk.results import hide_inputs, store_result
from mainspring.sdk.retries import attempt

P = ParamSpec("P")
R = TypeVar("R")

_PAGE = 100
"""So many elements of a map are queued at once."""

_cautioned: set[tuple[str, str]] = set()


class Step(Generic[P, R]):
    """A function whose calls are runs.

    Calling it runs it now and returns its value. `submit` and `map` run it on workers.

    Notes
    -----
    Steps that are called within a pipeline or another step are recorded below it.
    """

    def __init__(self, function: Callable[P, R], options: Options) -> None:
        check_function(function)
        functools.update_wrapper(self, function)
        self.function = function
        self.settings = options
        self.name: str = function.__name__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function with these arguments, or load what it returned for them before."""
        arguments = self._bind(*resolve(args), **resolve(kwargs))
        if self.settings.elsewhere:
            return self._submit(arguments).result()
        return self._run_here(arguments)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def submit(self, *args: Any, **kwargs: Any) -> Future[R]:
        """Queue the call for a worker.

        Parameters
        ----------
        *args, **kwargs
            Arguments of the function; a `Future` among them is an edge: this call is queued when
            its value is there.

        Returns
        -------
        Future
            Its `result` waits.

        Raises
        ------
        Invalid
            STEP-005 when the function or an argument cannot be sent to another process.
        """
        if has_futures(args) or has_futures(kwargs):
            self._bind(*args, **kwargs)
            return self._track(defer(self.name, current_client(), lambda: self._queue_resolved(args, kwargs)))
        return self._submit(self._bind(*args, **kwargs))

    def map(self, *iterables: Iterable[Any], **kwargs: Any) -> list[Future[R]]:
        """Queue one call for each element, or for each tuple of elements of several iterables.

        Parameters
        ----------
        *iterables
            Positional arguments, call by call; the shortest ends it.
        **kwargs
            Arguments that are the same in all calls.

        Returns
        -------
        list of Future
            In the order of the elements.

        Raises
        ------
        Invalid
            STEP-005 when an element cannot be sent to another process; what was queued of the map
            before it is cancelled.

        Notes
        -----
        Elements are taken and queued a hundred at a time, so that none of them is held for long and
        the owner answers others in between.
        """
        client, calls = current_client(), zip(*iterables, strict=False)
        tally = Tally(self.name, _progress())
        futures: list[Future[R]] = []
        try:
            while page := list(itertools.islice(calls, _PAGE)):
                futures += self._submit_page(client, page, kwargs, tally)
        except BaseException:
            _give_up(client, futures)
            raise
        tally.total = len(futures)
        return futures

    def _submit_page(
        self, client: Client, calls: list[tuple[Any, ...]], kwargs: dict[str, Any], tally: Tally
    ) -> list[Future[R]]:
        if has_futures(calls) or has_futures(kwargs):
            return [self.submit(*args, **kwargs).count_in(tally) for args in calls]
        specs = [self._describe(client, self._bind(*args, **kwargs)) for args in calls]
        return [
            self._track(Future(self.name, client, run).count_in(tally)) for run in client.ask(SubmitRuns(runs=specs))
        ]

    def options(
        self,
        *,
        cache: bool | None = None,
        sensitive: bool | None = None,
        cpus: float | None = None,
        memory: str | int | None = None,
        gpus: float | None = None,
        gpu_type: str | Sequence[str] | None = None,
        nodes: int | None = None,
        pool: str | None = None,
        env: Env | None = None,
        retries: int | None = None,
        backoff: str | float | None = None,
        timeout: str | float | None = None,
    ) -> Step[P, R]:
        """Return the same step with other options; what is left out stays.

        Parameters
        ----------
        cache, sensitive, cpus, memory, gpus, gpu_type, nodes, pool, env, retries, backoff, timeout
            As those of `mainspring.step`.
        """
        old, asks = self.settings, self.settings.resources
        fresh = make_options(
            cache=old.cache if cache is None else cache,
            sensitive=old.sensitive if sensitive is None else sensitive,
            cpus=asks.cpus if cpus is None else cpus,
            memory=asks.memory_bytes if memory is None else memory,
            gpus=asks.gpus if gpus is None else gpus,
            gpu_type=gpu_type if gpu_type is not None or gpus == 0 else asks.gpu_types,
            nodes=asks.nodes if nodes is None else nodes,
            pool=pool or asks.pool,
            env=old.env if env is None else env,
            retries=old.retries if retries is None else retries,
            backoff=old.backoff_s if backoff is None else backoff,
            timeout=old.timeout_s if timeout is None else timeout,
        )
        return Step(self.function, fresh)

    def __repr__(self) -> str:
        return f"<Step {self.name}{self._signature}>"

    def __reduce__(self) -> tuple[Any, ...]:
        from mainspring.pipelines.project import Project

        if Project().find_name(self.function) is not None and "." not in self.function.__qualname__:
            module = sys.modules[self.function.__module__]
            named = getattr(module, self.function.__qualname__, None)
            if named is self:
                return getattr, (module, self.function.__qualname__)
            if isinstance(named, Step) and named.function is self.function:
                return _change, (named, self.settings)
        return Step, (self.function, self.settings)

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        # A function that is being unpickled gets its defaults after this object is made.
        return inspect.signature(self.function)

    def _bind(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Bind arguments as the call would, with its TypeError."""
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as fault:
            raise TypeError(f"{self.name}() {fault}") from None
        bound.apply_defaults()
        if self.settings.sensitive:
            expose()
        return bound.arguments

    def _run_here(self, arguments: dict[str, Any]) -> R:
        above = active_run()
        client = current_client()
        found = self._identify(client, arguments)
        if above is not None:
            above.claim_name(self.name, self.function.__code__)
        began = time.perf_counter()
        value = self._look_up(client, arguments, found, began)
        if not isinstance(value, Run):
            return value[0]
        progress = above.progress if above is not None else None
        try:
            with progress.running(self.name) if progress is not None else nullcontext():
                result, wall_s = carry_out(
                    value,
                    client,
                    lambda: attempt(self.name, self.settings, lambda: self._call(arguments)),
                    lambda made: store_result(made, client),
                    lambda: self._pack(client, arguments),
                )
        except BaseException:
            if progress is not None:
                progress.tell_step(self.name, time.perf_counter() - began, value.reason, hit=False, failed=True)
            raise
        if progress is not None:
            progress.tell_step(self.name, wall_s, value.reason, hit=False)
        remember_maker(result, value)
        return result

    def _look_up(
        self, client: Client, arguments: dict[str, Any], found: Fingerprint | None, began: float
    ) -> tuple[R] | Run:
        """Return the value of an earlier call, or the run that has begun."""
        from mainspring.pipelines.fingerprint import key
        from mainspring.tracking.codecs import load_value

        cache = found is not None
        while True:
            begun = begin_run(
                client,
                "step",
                self.name,
                params=select_params(arguments),
                key=key(found) if found is not None else None,
                cache=cache,
                fingerprint=found,
                resources=self.settings.resources,
            )
            if not begun.hit:
                return begun.run
            assert begun.run.outputs is not None
            try:
                value = load_value(begun.run.outputs, client.blobs, client.seal)
            except MainspringError as fault:
                warn(f"{self.name} runs again, its stored result cannot be read: {fault.code}: {fault.what}")
                cache = False
                continue
            above = active_run()
            if above is not None and above.progress is not None:
                above.progress.tell_step(self.name, time.perf_counter() - began, begun.reason, hit=True)
            remember_maker(value, begun.run)
            return (value,)

    def _call(self, arguments: dict[str, Any]) -> R:
        args, kwargs = self._spread(arguments)
        return self.function(*args, **kwargs)

    def _spread(self, arguments: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        bound = inspect.BoundArguments(self._signature, arguments)
        return bound.args, bound.kwargs

    def _identify(self, client: Client, arguments: Mapping[str, Any], env: Prepared = HERE) -> Fingerprint | None:
        """Return the fingerprint of a call, None when the cache is off."""
        if not self.settings.cache:
            return None
        from mainspring.pipelines.fingerprint import fingerprint

        self._caution(arguments)
        return hide_inputs(fingerprint(self.function, arguments, env.variables, env.lock), client)

    def _caution(self, arguments: Mapping[str, Any]) -> None:
        """Tell, once for each argument, that a path given as text counts by its letters alone."""
        for name, value in arguments.items():
            if type(value) is str and (self.name, name) not in _cautioned and os.path.exists(value):  # noqa: PTH110 - cheap
                _cautioned.add((self.name, name))
                kind = "folder" if os.path.isdir(value) else "file"  # noqa: PTH112 - as above
                warn(
                    f"STEP-012: {name}={value!r} of {self.name} names a {kind}, but counts as text; "
                    f"give Path({value!r}) so that its content counts"
                )

    def _submit(self, arguments: dict[str, Any]) -> Future[R]:
        client = current_client()
        return self._track(Future(self.name, client, self._queue(client, arguments)))

    def _queue_resolved(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
        return self._queue(current_client(), self._bind(*resolve(args), **resolve(kwargs)))

    def _queue(self, client: Client, arguments: dict[str, Any]) -> Run:
        (run,) = client.ask(SubmitRuns(runs=[self._describe(client, arguments)]))
        queued: Run = run
        return queued

    def _describe(self, client: Client, arguments: dict[str, Any]) -> RunSpec:
        from mainspring.pipelines.fingerprint import key

        above = active_run()
        if above is not None:
            if above.ended:
                raise Failed("RUN-010", f"{self.name} was not submitted, {above.run.name} has ended")
            above.claim_name(self.name, self.function.__code__)
        env = prepare(find_env(self.settings.env), client)
        found = self._identify(client, arguments, env)
        return RunSpec(
            kind="step",
            name=self.name,
            call=self._pack(client, arguments, env),
            tags={"environment": env.lock[:12]} if env.lock else {},
            parent_id=above.run.id if above is not None else None,
            params=select_params(arguments),
            key=key(found) if found is not None else None,
            cache=found is not None,
            fingerprint=found,
            resources=self.settings.resources,
            retries=self.settings.retries,
            backoff_s=self.settings.backoff_s,
            timeout_s=self.settings.timeout_s,
            provenance=provenance_of(client),
        )

    def _pack(self, client: Client, arguments: dict[str, Any], env: Prepared = HERE) -> Call:
        args, kwargs = self._spread(arguments)
        return pack_call(client, self.function, args, kwargs, env)

    def _track(self, future: Future[R]) -> Future[R]:
        above = active_run()
        if above is not None:
            future.belong(above.children)
        return future


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...


@overload
def step(
    *,
    cache: bool = True,
    sensitive: bool = False,
    cpus: float = 1,
    memory: str | int | None = None,
    gpus: float = 0,
    pool: str | None = None,
    env: Env | None = None,
    retries: int = 0,
    backoff: str | float = FIRST_S,
    timeout: str | float | None = None,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a step: cached, placed, recorded. It stays a function.

    Parameters
    ----------
    function : callable
        A plain function with a name that returns one value.
    cache : bool, default True
        Load what an earlier call returned, when code, inputs and environment are the same.
    sensitive : bool, default False
        Its arguments and its result are sensitive: they lie encrypted, and whoever is given them
        seals in turn. A step that reads a sensitive column seals by itself.
    cpus : float, default 1
        Cores, > 0. More than one, or any of memory, gpus, pool, env and timeout, sends plain calls
        to a worker; else they run in this process.
    memory : str or int, optional
        Limit of resident memory, such as ``"2 GB"``, or bytes.
    gpus : float, default 0
        Devices, of each node.
    gpu_type : str or sequence of str, optional
        What they are to be, ``"A100"``; of several each will do. Without it every type does.
    nodes : int, default 1
        Machines of one pool at once. The function is called on each of them, with its place in ``RANK``,
        ``WORLD_SIZE``, ``MASTER_ADDR`` and ``MASTER_PORT``; result and metrics are those of rank 0.
    pool : str, optional
        Name of the pool that runs it; None means this machine.
    env : Env, optional
        What its worker finds installed, and its variables; None means the pipeline's, else what this
        interpreter has.
    retries : int, default 0
        How often it is tried again after it raised or ran out of time.
    backoff : str or float, default 1 second
        The wait before the first retry, such as ``"30s"``; each further one doubles it, up to ten
        minutes, and up to half of a wait is left to chance. 0 never waits.
    timeout : str or float, optional
        Such as ``"10min"``, or seconds; the run is ended and fails with RUN-007.

    Returns
    -------
    Step
        Call it like the function.

    Raises
    ------
    Invalid
        STEP-004 when it is no plain function; STEP-008 for a wrong option; RUN-003, RUN-004 for
        text that is no duration or size.

    Examples
    --------
    >>> @ms.step(retries=2)
    ... def square(number: int) -> int:
    ...     return number * number
    >>> square(3)
    9
    """
    made = make_options(**options)
    if function is None:
        return lambda inner: Step(inner, made)
    return Step(function, made)


def check_function(function: Any) -> None:
    """Refuse what is no plain function with a name."""
    problem = ""
    if not inspect.isfunction(function):
        problem = f"{function!r} is a {type(function).__name__}"
    elif function.__name__ == "<lambda>":
        problem = "a lambda has no name"
    elif inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        problem = f"{function.__name__} is async"
    elif inspect.isgeneratorfunction(function):
        problem = f"{function.__name__} is a generator: it returns its values one by one"
    if problem:
        raise Invalid("STEP-004", problem)


def _change(step: Step[P, R], settings: Options) -> Step[P, R]:
    """Return a step with the options that `Step.options` gave it elsewhere."""
    return Step(step.function, settings)


def _progress() -> Progress | None:
    above = active_run()
    return above.progress if above is not None else None


def _give_up(client: Client, futures: list[Future[Any]]) -> None:
    """Cancel what a map has queued; nobody was given its futures."""
    queued = [run.id for run in (future.run for future in futures) if run is not None]
    for at in range(0, len(queued), _PAGE):
        client.ask(CancelRuns(ids=queued[at : at + _PAGE], reason="the map that it belongs to could not be queued"))
