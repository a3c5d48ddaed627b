"""Search: run a step at many points, in parallel, and give the hopeless ones up."""

from __future__ import annotations

import inspect
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mainspring.domain import messages
from mainspring.domain.errors import Failed, Invalid
from mainspring.domain.records import Problem, Value
from mainspring.domain.records import Run as RunRecord
from mainspring.domain.states import TERMINAL
from mainspring.domain.wire import describe
from mainspring.pipelines.calls import make_call
from mainspring.pipelines.fingerprint import fingerprint, key
from mainspring.sdk.client import Client, get_client
from mainspring.sdk.context import active_run
from mainspring.sdk.inline import begin_run, carry_out
from mainspring.sdk.results import hide_inputs, store_result
from mainspring.sdk.runs import Run
from mainspring.sdk.steps import Step
from mainspring.tracking.codecs import load_value
from mainspring.tuning.pruners import PRUNERS
from mainspring.tuning.searchers import find_searcher
from mainspring.tuning.space import Range, Space, make_range, read_space
from mainspring.tuning.trials import Trial, find_best

POLL_S = 10.0
MIN_FAILURES = 4
MODES = ("max", "min")


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A hard stop.

    Attributes
    ----------
    trials : int or None
        At most so many points.
    hours : float or None
        At most so long by the clock; trials under way are then cancelled.
    """

    trials: int | None = None
    hours: float | None = None

    def __post_init__(self) -> None:
        given = [limit for limit in (self.trials, self.hours) if limit is not None]
        if not given or any(limit <= 0 for limit in given):
            raise Invalid("TUNE-005", f"{self!r} allows nothing")


def between(low: float, high: float, *, log: bool = False, step: float | None = None) -> Range:
    """Make a range for a search; two ints make a range of ints.

    Parameters
    ----------
    low, high : int or float
        Both included, `low` below `high`.
    log : bool, default False
        Draw evenly in the logarithm.
    step : int or float, optional
        Distance between allowed values; None allows all.

    Raises
    ------
    Invalid
        TUNE-001 when the bounds are no range.

    Examples
    --------
    >>> between(1, 9).whole
    True
    """
    return make_range(low, high, log=log, step=step)


class Study:
    """A finished search.

    Attributes
    ----------
    run : Run
        The run of the whole search.
    trials : tuple of Trial
        In order of their numbers, with parameters, state and curve.
    importances : dict of str to float
        Share of each parameter in the variance of the metric; empty when it cannot be told.
    """

    def __init__(
        self, run: Run, metric: str, mode: str, trials: Sequence[Trial], importances: dict[str, float]
    ) -> None:
        self.run = run
        self.metric = metric
        self.mode = mode
        self.trials = tuple(trials)
        self.importances = importances

    @property
    def best(self) -> Run:
        """The run of the best finished trial; its `result()` is what the step returned.

        Raises
        ------
        Failed
            TUNE-004 when no trial succeeded.
        """
        return Run(self._find_best().run_id)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the best finished trial."""
        return self._find_best().params

    @property
    def value(self) -> float:
        """The metric of the best finished trial."""
        return self._find_best().value or 0.0

    def _find_best(self) -> Trial:
        best = find_best(self.trials, self.mode)
        if best is None:
            what = f"none of {len(self.trials)} trials has a finite {self.metric}"
            raise Failed("TUNE-004", what, run=self.trials[-1].run_id if self.trials else self.run.id)
        return best

    def __repr__(self) -> str:
        states = [trial.state for trial in self.trials]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        return f"Study({counts}; best {self.metric} {self.value:.4g} with {self.params})"


def tune(
    fn: Step[..., Any],
    space: Mapping[str, Any],
    *,
    args: Sequence[Any] = (),
    metric: str,
    mode: str = "max",
    budget: Budget,
    searcher: str = "tpe",
    pruner: str = "asha",
    parallel: int | None = None,
    seed: int = 0,
) -> Study:
    """Search the arguments of a step for the best value of a metric.

    Parameters
    ----------
    fn : Step
        It logs the metric with `ms.log`; each report may end the trial.
    space : mapping
        Argument -> `between(low, high)`, or a list of choices.
    args : sequence
        Positional arguments that every trial gets.
    metric : str
        The logged name; the last value counts.
    mode : {"max", "min"}
        Whether larger is better.
    budget : Budget
        When to stop.
    searcher : str, default "tpe"
        ``tpe``, ``random`` or another entry point of ``mainspring.searchers``.
    pruner : {"asha", "median", "none"}
        When to give a trial up.
    parallel : int, optional
        Trials at a time, > 0; default: as many as there are cores.
    seed : int, default 0
        The same seed gives the same search.

    Returns
    -------
    Study
        Recorded as a run whose children are the trials.

    Raises
    ------
    Invalid
        TUNE-001, TUNE-002, TUNE-005 to TUNE-007 for a fault in what was given.
    Failed
        TUNE-004 when no trial succeeded.

    Notes
    -----
    Guarantees: trials go out in rounds, and are compared with those of earlier rounds only, so
    that the search does not depend on which of two was faster; a search that was killed goes on
    with the trials that it has; the same search asked for again answers from the record.
    """
    _check(fn, space)
    _check_settings(mode, pruner, parallel)
    search = _Search(get_client(), fn, read_space(space), tuple(args), metric, mode, searcher, pruner, seed, budget)
    return search.run(parallel or len(os.sched_getaffinity(0)))


def _check(fn: Any, space: Mapping[str, Any]) -> None:
    if not isinstance(fn, Step):
        raise Invalid("TUNE-006", f"{fn!r} is no step")
    names = inspect.signature(fn.function).parameters
    unknown = sorted(set(space) - set(names))
    if unknown and not any(each.kind is each.VAR_KEYWORD for each in names.values()):
        raise Invalid("TUNE-006", f"{fn.name} has no argument {', '.join(unknown)}")


def _check_settings(mode: str, pruner: str, parallel: int | None) -> None:
    for name, value, choices in (("mode", mode, MODES), ("pruner", pruner, PRUNERS)):
        if value not in choices:
            raise Invalid("TUNE-007", f"{name}={value!r} is none of {', '.join(choices)}", setting=name)
    if parallel is not None and parallel < 1:
        raise Invalid("TUNE-007", f"parallel={parallel} runs nothing", setting="parallel")


class _Search:
    """One search under way."""

    def __init__(
        self,
        client: Client,
        step: Step[..., Any],
        space: Space,
        args: tuple[Any, ...],
        metric: str,
        mode: str,
        searcher: str,
        pruner: str,
        seed: int,
        budget: Budget,
    ) -> None:
        self.client = client
        self.step = step
        self.space = space
        self.args = args
        self.metric = metric
        self.mode = mode
        self.searcher = searcher
        self.pruner = pruner
        self.seed = seed
        self.budget = budget
        self.deadline = math.inf if budget.hours is None else time.monotonic() + budget.hours * 3600
        self.trials: list[Trial] = []
        self.problem: Problem | None = None
        active = active_run()
        self.progress = active.progress if active is not None else None

    def run(self, parallel: int) -> Study:
        """Answer from the record, or search and record."""
        inputs = {"args": list(self.args), **self._describe()}
        found = hide_inputs(fingerprint(self.step.function, inputs), self.client)
        self.key = key(found)
        begun = begin_run(
            self.client,
            "study",
            self.step.name,
            params=self._describe(),
            key=self.key,
            cache=True,
            fingerprint=found,
        )
        if begun.hit:
            self._tell_step(0.0, begun.reason, hit=True)
            return self._restore(begun.run)
        study, wall_s = carry_out(begun.run, self.client, lambda: self._search(begun.run, parallel), self._store)
        self._tell_step(wall_s, begun.reason, hit=False)
        return study

    def _search(self, run: RunRecord, parallel: int) -> Study:
        searcher = find_searcher(self.searcher)
        while count := self._room(parallel):
            points = searcher.ask(self.space, self.trials, count=count, mode=self.mode, seed=self.seed)
            self._evaluate(run, points)
        if find_best(self.trials, self.mode) is None:
            raise self._fail()
        return Study(Run(run.id), self.metric, self.mode, self.trials, self._rank())

    def _store(self, study: Study) -> Value:
        body = {"trials": msgspec.to_builtins(study.trials), "importances": study.importances}
        return store_result(body, self.client)

    def _restore(self, run: RunRecord) -> Study:
        assert run.outputs is not None
        body = load_value(run.outputs, self.client.blobs, self.client.seal)
        trials = msgspec.convert(body["trials"], list[Trial])
        return Study(Run(run.id), self.metric, self.mode, trials, body["importances"])

    def _room(self, parallel: int) -> int:
        """Return how many trials the next round has; 0 ends the search."""
        if time.monotonic() >= self.deadline:
            return 0
        if len(self.trials) >= MIN_FAILURES and all(trial.state == "failed" for trial in self.trials):
            return 0
        left = math.inf if self.budget.trials is None else self.budget.trials - len(self.trials)
        return int(min(parallel, left))

    def _evaluate(self, run: RunRecord, points: list[dict[str, Any]]) -> None:
        first = len(self.trials)
        specs = [self._specify(run, first + at, first, point) for at, point in enumerate(points)]
        for at, trial in enumerate(self._carry_out(run, first, specs)):
            self.trials.append(self._read(first + at, points[at], trial))
        best = find_best(self.trials, self.mode)
        limit = f"/{self.budget.trials}" if self.budget.trials else ""
        value = f"best {self.metric} {best.value:.4f}" if best and best.value is not None else "none succeeded"
        if self.progress is not None:
            self.progress.tell("tune", f"{len(self.trials)}{limit} trials, {value}")

    def _carry_out(self, run: RunRecord, first: int, specs: list[messages.RunSpec]) -> list[RunRecord]:
        """Return the ended runs of a round; those that fall with an earlier attempt at this search are made anew.

        Each has one successor, whose name tells which run it comes after, so that a third attempt
        finds what the second has made. An earlier attempt may turn out to be dead at any time.
        """
        runs: list[RunRecord] = self.client.ask(messages.SubmitRuns(runs=specs))
        while True:
            fallen = [at for at, trial in enumerate(runs) if trial.state == "cancelled" and trial.parent_id != run.id]
            for at in fallen:
                specs[at].dedupe = f"trial:{self.key}:{first + at}:{runs[at].id}"
                (runs[at],) = self.client.ask(messages.SubmitRuns(runs=[specs[at]]))
            if not fallen and all(trial.state in TERMINAL for trial in runs):
                return runs
            if not fallen:
                runs = self._wait([trial.id for trial in runs])

    def _tell_step(self, wall_s: float, reason: str, *, hit: bool) -> None:
        if self.progress is not None:
            self.progress.tell_step("tune", wall_s, reason, hit=hit)

    def _specify(self, run: RunRecord, number: int, round_: int, point: dict[str, Any]) -> messages.RunSpec:
        return messages.RunSpec(
            kind="trial",
            name=self.step.name,
            call=make_call(self.step.function, self.args, point, self.client.blobs, self.client.home_seal),
            dedupe=f"trial:{self.key}:{number}",
            parent_id=run.id,
            params=point,
            tags={"study": self.key, "trial": str(number), "round": str(round_)},
            resources=self.step.settings.resources,
            retries=self.step.settings.retries,
            timeout_s=self.step.settings.timeout_s,
            study=messages.Study(self.metric, self.mode, self.pruner),
        )

    def _wait(self, ids: list[str]) -> list[RunRecord]:
        cancelled = False
        while True:
            left_s = self.deadline - time.monotonic()
            if left_s <= 0 and not cancelled:
                self.client.ask(messages.CancelRuns(ids=ids, reason="the budget of the search is spent"))
                cancelled = True
            wait_s = POLL_S if cancelled else min(POLL_S, left_s)
            runs: list[RunRecord] = self.client.ask(messages.WaitRuns(ids=ids, wait_s=wait_s))
            if all(run.state in TERMINAL for run in runs):
                return runs

    def _read(self, number: int, point: dict[str, Any], run: RunRecord) -> Trial:
        points = self.client.ask(messages.GetSeries(run_id=run.id, key=self.metric))
        until = int(run.tags.get("pruned_at", sys.maxsize))
        curve = tuple((step, value) for step, _, value in points if step <= until and math.isfinite(value))
        value = curve[-1][1] if curve else None
        state = run.state
        if state == "failed":
            self.problem = run.problem
        if state == "succeeded" and (value is None or not math.isfinite(points[-1][2])):
            what = f"trial {number} logged no finite {self.metric}"
            state, value, self.problem = "failed", None, describe(Failed("TUNE-003", what, run=run.id))
        return Trial(number, run.id, point, state, value, curve)

    def _rank(self) -> dict[str, float]:
        try:
            from mainspring.tuning.adapters.optuna import rank_importances
        except ImportError:
            return {}
        return rank_importances(self.space, self.trials, mode=self.mode, seed=self.seed)

    def _fail(self) -> Failed:
        states = [trial.state for trial in self.trials]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        what = f"no trial of {self.step.name} succeeded: {counts}"
        if self.problem is not None:
            what = f"{what}; the last fault is {self.problem.code}: {self.problem.what}"
        return Failed("TUNE-004", what, run=self.trials[-1].run_id if self.trials else None)

    def _describe(self) -> dict[str, Any]:
        return {
            "space": msgspec.to_builtins(self.space),
            "metric": self.metric,
            "mode": self.mode,
            "searcher": self.searcher,
            "pruner": self.pruner,
            "seed": self.seed,
            "budget": msgspec.to_builtins(self.budget),
        }
