"""Runs of code that is no step: a `with` block in a script or notebook, or a function."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

from mainspring.domain.errors import Conflict, Invalid
from mainspring.domain.records import Run as Record
from mainspring.domain.tracking import Resumed, ResumeRun, check_name, check_tags
from mainspring.sdk.context import active_run
from mainspring.sdk.inline import Carried, begin_run, carry, select_params, this_process
from mainspring.sdk.lineage import current_client
from mainspring.sdk.log import prepare_params
from mainspring.sdk.provenance import provenance_of
from mainspring.sdk.runs import Run
from mainspring.sdk.steps import check_function
from mainspring.security.masks import mask_all

P = ParamSpec("P")
R = TypeVar("R")


class ScriptRun(Run):
    """A run of the code in a `with` block, or of each call of the function that it decorates.

    Notes
    -----
    It begins with the block, not before. What is called inside, steps and pipelines too, is
    recorded below it. It ends as succeeded; as failed with what the block raised; as cancelled by
    Ctrl-C. When its process dies, the owner ends it as failed (RUN-008) and takes over what it had
    logged.
    """

    def __init__(
        self,
        name: str | None,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        experiment: str,
        resume: str,
    ) -> None:
        super().__init__("")
        self._name = name
        self._given = (params, tags)
        self._experiment = experiment
        self._resume = resume
        self._carrying: AbstractContextManager[Carried] | None = None

    @property
    def record(self) -> Record:
        """The run as the owner has it now.

        Raises
        ------
        Invalid
            STEP-006 before it has begun.
        """
        if self._known is None:
            raise Invalid("STEP-006", "this run has not begun", fix="with ms.start_run(...) as run:")
        return super().record

    def __enter__(self) -> Self:
        """Begin the run, below the active one if any."""
        if self._carrying is not None:
            raise Conflict("RUN-002", f"run {self.id[-6:]} goes on already", fix="start_run(...) makes another run")
        client = current_client()
        params = prepare_params(self._given[0])
        tags = mask_all({name: str(value) for name, value in self._given[1].items()})
        check_tags(tags)
        positions: dict[str, int] = {}
        if self._resume:
            asked = ResumeRun(
                run_id=self._resume, params=params, tags=tags, provenance=provenance_of(client), **this_process()
            )
            resumed: Resumed = client.ask(asked)
            run, positions = resumed.run, resumed.positions
        else:
            name = self._name or _name_script()
            run = begin_run(client, "script", name, params=params, tags=tags, experiment=self._experiment).run
        self._id, self._known = run.id, run
        carrying = carry(run, client)
        carrying.__enter__().active.positions.update(positions)
        self._carrying = carrying
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the run; what was raised goes on."""
        carrying, self._carrying = self._carrying, None
        if carrying is not None:
            carrying.__exit__(kind, fault, traceback)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Make each call of a function a run of its own, with its arguments as parameters.

        Raises
        ------
        Invalid
            STEP-004 when it is no plain function.
        """
        check_function(function)

        @functools.wraps(function)
        def run_inside(*args: P.args, **kwargs: P.kwargs) -> R:
            named = select_params(_bind(function, args, kwargs))
            params, tags = self._given
            with ScriptRun(self._name or function.__name__, {**named, **params}, tags, self._experiment, self._resume):
                return function(*args, **kwargs)

        return run_inside

    def __repr__(self) -> str:
        return super().__repr__() if self._known is not None else f"<Run of {self._name or 'a script'}, not begun>"


@overload
def start_run(name: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def start_run(
    name: str | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    experiment: str = "",
    resume: str | Run = "",
) -> ScriptRun: ...


def start_run(
    name: Any = None,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    experiment: str = "",
    resume: str | Run = "",
) -> Any:
    """Record code that is no step: ``with ms.start_run("fit") as run:``, or ``@ms.start_run``.

    Parameters
    ----------
    name : str, optional
        What it is called; default: the function that is decorated, else the script or
        ``notebook``.
    params : mapping, optional
        Its parameters, as for `log_params`; a decorated function's arguments are added.
    tags : mapping of str to str, optional
        Words to find it by; `Run.tag` and ``mainspring runs tag`` change them later.
    experiment : str, optional
        Name of the group of runs that it belongs to; by default that of the run above it. Runs are
        found by it: ``ms.runs("experiment = churn")``.
    resume : str or Run, optional
        Id of an ended run of a script: it goes on as its next attempt, series and artifacts too.

    Returns
    -------
    ScriptRun
        A `Run` that begins with the `with` block, or decorates a function.

    Raises
    ------
    Invalid
        STEP-009 for a name that is none. What begins it also raises STEP-004 for no plain function.
    NotFound
        RUN-001 when there is no run to resume.
    Conflict
        RUN-002 when the run to resume goes on, or is none of a script.

    Notes
    -----
    Guarantees: numbers that were logged outlive the process. A step called inside answers from an
    earlier result as it does elsewhere; the block itself always runs.

    Examples
    --------
    >>> with ms.start_run("fit", tags={"team": "air"}): ms.log(loss=0.5)
    """
    if callable(name):
        return ScriptRun(None, {}, {}, "", "")(name)
    _check_given(name, experiment, params=params, tags=tags)
    if resume and name is not None:
        raise Invalid("STEP-009", f"a resumed run keeps its name, {name!r} is another", fix="start_run(resume=ID)")
    asked = resume.id if isinstance(resume, Run) else resume
    above = active_run()
    if above is not None and asked and above.run.id.endswith(asked):
        raise Conflict("RUN-002", f"run {above.run.id[-6:]} goes on right here", run=above.run.id)
    return ScriptRun(name, dict(params or {}), dict(tags or {}), experiment, asked)


def _check_given(name: str | None, experiment: str, **mappings: Any) -> None:
    for text, what in ((name, "a run"), (experiment, "an experiment")):
        if text:
            check_name(text, what)
    for option, value in mappings.items():
        if value is not None and not isinstance(value, Mapping):
            raise Invalid("STEP-009", f"{option}={value!r:.100} is no mapping", fix=f'{option}={{"NAME": VALUE}}')


def _bind(function: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any]:
    import inspect

    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def _name_script() -> str:
    """Return the script's name, ``notebook`` where there is none."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(main).stem if main else "notebook"
