"""Pipelines: functions that call steps; a run with the steps below it."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, overload

from mainspring.domain.errors import Invalid, MainspringError
from mainspring.domain.messages import GetRun
from mainspring.domain.records import Call, Declaration, Value
from mainspring.domain.retries import ANEW_FROM, ANEW_RUN
from mainspring.sdk.calls import pack_call
from mainspring.sdk.client import Client
from mainspring.sdk.context import active_run, asked_anew
from mainspring.sdk.environments import Env, check_env, use_env
from mainspring.sdk.futures import Future
from mainspring.sdk.inline import begin_run, carry_out, select_params, warn
from mainspring.sdk.lineage import current_client
from mainspring.sdk.progress import tell_next
from mainspring.sdk.results import store_result
from mainspring.sdk.steps import check_function

P = ParamSpec("P")
R = TypeVar("R")


class Pipeline(Generic[P, R]):
    """A function whose calls are runs with children.

    Attributes
    ----------
    name : str
        The function's name.
    triggers : tuple
        What starts it once it was handed over by `apply`; inert until then.
    pool : str or None
        Where `run` and triggers start it.
    env : Env or None
        The environment of its steps that have none of their own.

    Notes
    -----
    Calling it runs its body in this process; steps that were submitted are waited for at its end,
    and the first failure that nobody has seen is raised then.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        triggers: Sequence[Any] = (),
        pool: str | None = None,
        env: Env | None = None,
    ) -> None:
        check_function(function)
        check_env(env)
        functools.update_wrapper(self, function)
        self.function = function
        self.env = env
        self.name: str = function.__name__
        self.triggers = tuple(triggers)
        self.pool = pool

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the body with these arguments as a run of its own, below the active run if any."""
        above = active_run()
        client = current_client()
        params = select_params(self.bind(*args, **kwargs))
        anew = asked_anew() if above is None else ""
        begun = begin_run(client, "pipeline", self.name, params=params, tags={ANEW_FROM: anew} if anew else {})
        try:
            result, _ = carry_out(
                begun.run,
                client,
                lambda: self.run_body(*args, **kwargs),
                lambda made: _store_if_possible(made, client),
                lambda: self.pack(client, args, kwargs),
            )
        finally:
            if anew and ANEW_RUN not in client.ask(GetRun(id=begun.run.id)).tags:
                warn(f"{self.name} called no step {anew}, so nothing was run again for it")
            if above is None:
                tell_next(begun.run.id)
        return result

    def pack(self, client: Client, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """Make of a call what a worker executes.

        Parameters
        ----------
        client : Client
            Of the home whose worker it is.
        args, kwargs : sequence, mapping
            Arguments of the function.

        Returns
        -------
        Call
            Of the body, with the environment of its steps.

        Raises
        ------
        Invalid
            STEP-005, naming the argument that cannot be sent.
        """
        if self.env is None:
            return pack_call(client, self.function, args, kwargs)
        return pack_call(client, _run_body, (self, *args), kwargs)

    def run_body(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the body returns within the run that is active."""
        with use_env(self.env):
            return self.function(*args, **kwargs)

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        # A function that is being unpickled gets its defaults after this object is made.
        return inspect.signature(self.function)

    def bind(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the arguments by name, defaults included.

        Raises
        ------
        TypeError
            They do not fit the function.
        """
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as fault:
            raise TypeError(f"{self.name}() {fault}") from None
        bound.apply_defaults()
        return bound.arguments

    def declaration(self) -> Declaration:
        """Return the inert form that `apply` hands over.

        Raises
        ------
        Invalid
            RENEW-007 when a trigger could not call it, because an argument has no default.
        """
        needed = [each.name for each in self._signature.parameters.values() if each.default is each.empty]
        if self.triggers and needed:
            raise Invalid("RENEW-007", f"pipeline {self.name} needs {', '.join(needed)}")
        return Declaration("pipeline", self.name, {"triggers": [trigger.body() for trigger in self.triggers]})

    def __repr__(self) -> str:
        return f"<Pipeline {self.name}{self._signature}>"

    def __reduce__(self) -> tuple[Any, ...]:
        from mainspring.pipelines.project import Project

        if Project().find_name(self.function) is not None and "." not in self.function.__qualname__:
            return getattr, (sys.modules[self.function.__module__], self.function.__qualname__)
        return _rebuild, (self.function, self.triggers, self.pool, self.env)


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...


@overload
def pipeline(
    *, triggers: Sequence[Any] = (), pool: str | None = None, env: Env | None = None
) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...


def pipeline(
    function: Callable[..., Any] | None = None,
    /,
    *,
    triggers: Sequence[Any] = (),
    pool: str | None = None,
    env: Env | None = None,
) -> Any:
    """Make a function a pipeline: a recorded run whose steps are its children.

    Parameters
    ----------
    function : callable
        A plain function that calls steps.
    triggers : sequence, optional
        `Cron` and `On` values; they act once the pipeline was handed over by `apply`.
    pool : str, optional
        Where `run` and triggers start it; None means this machine.
    env : Env, optional
        The environment of its steps that have none of their own; its body runs where it is called.

    Returns
    -------
    Pipeline
        Call it like the function.

    Raises
    ------
    Invalid
        STEP-004 when it is no plain function; STEP-008 for a wrong option.

    Examples
    --------
    >>> @ms.step
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> @ms.pipeline
    ... def total(count: int) -> int:
    ...     return sum(double(number) for number in range(count))
    >>> total(3)
    6
    """
    if function is None:
        return lambda inner: Pipeline(inner, triggers=triggers, pool=pool, env=env)
    return Pipeline(function, triggers=triggers, pool=pool, env=env)


def _run_body(pipeline: Pipeline[..., Any], *args: Any, **kwargs: Any) -> Any:
    return pipeline.run_body(*args, **kwargs)


def _rebuild(
    function: Callable[..., Any], triggers: tuple[Any, ...], pool: str | None, env: Env | None = None
) -> Pipeline[..., Any]:
    return Pipeline(function, triggers=triggers, pool=pool, env=env)


def _store_if_possible(result: Any, client: Client) -> Value | None:
    """Store what a pipeline returned; unlike a step's, its value may be of any kind."""
    if isinstance(result, Future):
        result = result.result()
    try:
        return store_result(result, client)
    except MainspringError as fault:
        if not fault.code.startswith("STEP-"):
            raise
        warn(f"what the pipeline returned is not kept: {fault.what}")
        return None
