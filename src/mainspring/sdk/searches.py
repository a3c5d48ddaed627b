"""Search: run a step at many points, in parallel, and give the hopeless ones up."""

from __future__ import annotations

import hashlib
import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from mainspring.domain import messages
from mainspring.domain.errors import Failed, Invalid
from mainspring.domain.records import Call, Fingerprint, Problem, Run, Value
from mainspring.domain.wire import describe
from mainspring.pipelines.fingerprint import fingerprint, key
from mainspring.sdk.calls import pack_call
from mainspring.sdk.client import Client, get_client
from mainspring.sdk.context import active_run
from mainspring.sdk.environments import HERE, Prepared, prepare
from mainspring.sdk.inline import begin_run, carry_out
from mainspring.sdk.log import log
from mainspring.sdk.plans import Plan, make_plan
from mainspring.sdk.progress import Progress
from mainspring.sdk.results import hide_inputs, store_result
from mainspring.sdk.rounds import Rounds
from mainspring.sdk.runs import Run as Handle
from mainspring.sdk.steps import Step
from mainspring.sdk.studies import Study
from mainspring.tracking.codecs import load_value
from mainspring.tuning.budgets import Budget as Budget  # noqa: PLC0414 - told on
from mainspring.tuning.repeats import SHARE, count_whole
from mainspring.tuning.trials import Repeat, Trial, find_best, find_front, rank

MIN_FAILURES = 4
TELL_EVERY_S = 2.0
"""So often at most a line of progress is printed."""


def tune(
    fn: Step[..., Any],
    space: Mapping[str, Any],
    *,
    args: Sequence[Any] | Mapping[str, Any] = (),
    metric: str | Sequence[str],
    mode: str | Sequence[str] = "max",
    budget: Budget,
    searcher: str = "tpe",
    pruner: str = "asha",
    parallel: int | None = None,
    pool: str | None = None,
    seed: int = 0,
    start: Study | Sequence[Mapping[str, Any]] = (),
    repeats: int = 2,
) -> Study:
    """Search the arguments of a step for the best value of a metric, and return the study.

    Parameters
    ----------
    fn : Step
        It logs the metric with `ms.log`; each report may end the trial.
    space : mapping
        Argument -> `between(low, high)`, a list of choices, a distribution of Optuna, or a mapping of
        choices, each with what else is searched when it is chosen: ``{"a": {"x": between(2, 9)}, "b": {}}``.
    args : sequence or mapping
        Arguments that every trial gets: by place, or by name.
    metric, mode : str or sequence of str
        The logged name, whose last value counts, and ``max`` or ``min``. Of several the front is searched.
    budget : Budget
        When to stop, hard: what is under way is cancelled.
    searcher, pruner : str, default "tpe" and "asha"
        ``tpe``, ``random``, ``grid``, ``cmaes`` or another entry point; ``asha``, ``hyperband``, ``median``, ``none``.
    parallel, pool : int and str, optional
        Trials at a time, default as many as there are cores; where they run, default the step's own pool.
    seed : int, default 0
        The same seed and `parallel` give the same search; every trial gets it as its argument `seed`, if it has one.
    start : Study or sequence of mappings, optional
        Points to try first; of a study its three best.
    repeats : int, default 2
        The three best are run again on so many fresh values of `seed`, and the best mean wins; a fifth of the
        budget is kept for it. 0 turns it off.

    Raises
    ------
    Invalid
        TUNE-001, TUNE-002, TUNE-005 to TUNE-008 for a fault in what was given.
    Failed
        TUNE-004 when no trial succeeded.

    Notes
    -----
    Guarantees: trials go out in rounds and are compared with earlier rounds only, so that nothing depends on
    which was faster. A search that was killed, stopped or had a smaller budget goes on when it is asked for again.

    Examples
    --------
    >>> ms.tune(fit, {"leaves": ms.between(15, 255)}, metric="auc", budget=ms.Budget(trials=30))  # doctest: +SKIP
    """
    return Search(get_client(), make_plan(**locals())).run()


def search_again(plan: Plan) -> dict[str, Any]:
    """Go on with a search in a worker; return what is kept of it."""
    return describe_study(Search(get_client(), plan).run())


def describe_study(study: Study) -> dict[str, Any]:
    """Return what is kept of a study, as JSON."""
    trials = msgspec.to_builtins(study.trials)
    return {"trials": trials, "importances": study.importances, "remark": study.remark}


class Search:
    """One search under way."""

    def __init__(self, client: Client, plan: Plan) -> None:
        self.client = client
        self.plan = plan
        self.trials: list[Trial] = []
        self.problem: Problem | None = None
        self.remark = ""
        self._told = -math.inf
        active = active_run()
        self.progress = active.progress if active is not None else None

    def run(self) -> Study:
        """Answer from the record, or search and record."""
        plan = self.plan
        budget = msgspec.to_builtins(plan.budget)
        facts = plan.describe() | {"budget": budget, "repeats": plan.repeats, "parallel": plan.parallel}
        env = prepare(plan.env, self.client)
        inputs = {"args": list(plan.args), **({"named": plan.named} if plan.named else {}), **facts}
        found = hide_inputs(fingerprint(plan.step.function, inputs, env.variables, env.lock), self.client)
        self.rounds = Rounds(self.client, plan, env, key(_leave_out(found, "budget", "repeats")))
        answer = _leave_out(found, "parallel")
        self.rounds.look_back(key(answer))
        begun = begin_run(
            self.client,
            "study",
            plan.step.name,
            params=facts,
            tags={"study": self.rounds.key},
            key=key(answer),
            cache=True,
            fingerprint=answer,
            call=self._pack(env),
        )
        if self.progress is None:
            self.progress = Progress(plan.step.name, begun.run.id)
        if begun.hit:
            self._tell_step(0.0, begun.reason, hit=True)
            return self._restore(begun.run)
        self.rounds.study = begun.run
        study, wall_s = carry_out(begun.run, self.client, lambda: self._search(begun.run), self._store)
        self._tell_step(wall_s, begun.reason, hit=False)
        return study

    def _pack(self, env: Prepared) -> Call | None:
        """Make of the search what a worker can go on with; None of what cannot be sent, whose trials say why.

        It goes on where it would have gone on here: with what is installed for this interpreter. A server may not
        have that, so there it goes on where its trials run.
        """
        try:
            return pack_call(self.client, search_again, (self.plan,), {}, env if self.client.remote else HERE)
        except Invalid:
            return None

    def _search(self, run: Run) -> Study:
        while count := self._room():
            points = self._ask(count)
            if not points:
                break
            self._evaluate(points)
        self._told = -math.inf
        self._tell()
        if not any(trial.state == "succeeded" for trial in self.trials):
            raise self._fail()
        self._repeat()
        plan = self.plan
        return Study(Handle(run.id), plan.metrics, plan.modes, self.trials, self._rank(), self.remark)

    def _store(self, study: Study) -> Value:
        return store_result(describe_study(study), self.client)

    def _restore(self, run: Run) -> Study:
        assert run.outputs is not None
        body = load_value(run.outputs, self.client.blobs, self.client.seal)
        trials = msgspec.convert(body["trials"], list[Trial])
        plan = self.plan
        remark = body.get("remark", "")
        return Study(Handle(run.id), plan.metrics, plan.modes, trials, body["importances"], remark)

    def _room(self) -> int:
        """Return how many trials the next round has; 0 ends the search."""
        if len(self.trials) >= MIN_FAILURES and all(trial.state == "failed" for trial in self.trials):
            return 0
        kept = 1 - 1 / SHARE if self.plan.top else 1.0
        if self.rounds.is_spent(kept):
            return 0
        limit = self.plan.budget.trials
        left = math.inf if limit is None else limit - self.plan.top * self.plan.repeats - len(self.trials)
        return int(max(0, min(self.plan.parallel, left)))

    def _ask(self, count: int) -> list[dict[str, Any]]:
        plan = self.plan
        points = list(plan.start[len(self.trials) : len(self.trials) + count])
        if len(points) == count:
            return points
        more = plan.searcher.ask(plan.space, self.trials, count=count - len(points), modes=plan.modes, seed=plan.seed)
        return points + more

    def _evaluate(self, points: list[dict[str, Any]]) -> None:
        first = len(self.trials)
        wanted = []
        for number, point in enumerate(points, first):
            tags = {"trial": str(number), "round": str(first)}
            spec = self.rounds.make_spec(point, tags, pruner=self.plan.names[1], seed=self.plan.seed)
            wanted.append((f"{number}:{_digest(point)}", spec))
        runs = self.rounds.carry_out(wanted)
        curves = self.client.ask_all([messages.GetSeries(run_id=run.id, key=self.plan.metrics[0]) for run in runs])
        for number, (point, run, reports) in enumerate(zip(points, runs, curves, strict=False), first):
            self.trials.append(self._read(number, point, run, reports))
        best = find_best(self.trials, self.plan.modes[0]) if len(self.plan.metrics) == 1 else None
        if best is not None and best.value is not None:
            log({self.plan.metrics[0]: best.value}, step=len(self.trials))
        self._tell()

    def _repeat(self) -> None:
        """Run the best again on fresh seeds, as far as the budget goes."""
        plan = self.plan
        best = rank(self.trials, plan.modes[0])[: plan.top]
        self.remark = self._explain_repeats(len(best))
        if self.remark:
            return
        jobs = [(trial, plan.seed + fresh) for fresh in range(1, plan.repeats + 1) for trial in best]
        runs: list[Run] = []
        for at in range(0, len(jobs), plan.parallel):
            wanted = []
            for trial, seed in jobs[at : at + plan.parallel]:
                tags = {"trial": str(trial.number), "round": str(len(self.trials)), "fresh_seed": str(seed)}
                spec = self.rounds.make_spec(trial.params, tags, pruner="none", seed=seed)
                wanted.append((f"{trial.number}:{_digest(trial.params)}:seed {seed}", spec))
            if self.rounds.is_spent():
                break
            runs += self.rounds.carry_out(wanted)
        seeds = [runs[at : at + len(best)] for at in range(0, len(runs) - len(best) + 1, len(best))]
        whole = count_whole([[run.state for run in each] for each in seeds])
        for at, trial in enumerate(best):
            again = tuple(self._read_repeat(each[at], plan.seed + 1 + n) for n, each in enumerate(seeds[:whole]))
            self.trials[trial.number] = replace(trial, repeats=again)
        self.remark = (
            f"the {len(best)} best were run again on {whole} fresh seeds"
            if whole
            else "the best were not run again: the budget was spent"
        )

    def _explain_repeats(self, count: int) -> str:
        """Say why the best are not run again; empty when they are."""
        plan = self.plan
        if plan.repeats == 0:
            return "the best were not run again: repeats=0"
        if len(plan.metrics) > 1:
            return "the best were not run again: there are several metrics"
        if not plan.takes_seed:
            return f"the best were not run again: {plan.step.name} has no argument seed"
        if plan.top == 0:
            return f"the best were not run again: a fifth of {plan.budget.trials} trials is too few"
        return "the best were not run again: there is only one" if count < 2 else ""

    def _read(self, number: int, point: dict[str, Any], run: Run, points: Sequence[tuple[int, float, float]]) -> Trial:
        plan = self.plan
        until = int(run.tags.get("pruned_at", sys.maxsize))
        curve = tuple((step, value) for step, _, value in points if step <= until and math.isfinite(value))
        value = curve[-1][1] if curve else None
        values = tuple(run.metrics.get(name, math.nan) for name in plan.metrics) if len(plan.metrics) > 1 else ()
        state = run.state
        if state == "failed":
            self.problem = run.problem
        elif state == "succeeded":
            last = values or ((points[-1][2] if points else math.nan),)
            if not all(map(math.isfinite, last)):
                what = f"trial {number} {self._say_missing(run, last)}"
                state, value, self.problem = "failed", None, describe(Failed("TUNE-003", what, run=run.id))
        if not all(map(math.isfinite, values)):
            values = ()
        return Trial(number, run.id, point, state, value, curve, values)

    def _read_repeat(self, run: Run, seed: int) -> Repeat:
        value = run.metrics.get(self.plan.metrics[0], math.nan)
        if run.state != "succeeded":
            return Repeat(run.id, seed, run.state)
        return Repeat(run.id, seed, "succeeded", value) if math.isfinite(value) else Repeat(run.id, seed, "failed")

    def _say_missing(self, run: Run, last: Sequence[float]) -> str:
        """Say what a run logged or returned instead of a number."""
        from mainspring.sdk.artifacts import list_logged

        name = next(each for each, value in zip(self.plan.metrics, last, strict=True) if not math.isfinite(value))
        if name in run.metrics:
            return f"logged no finite {name}: its last value is {run.metrics[name]}"
        logged = list_logged(run.id)
        if name in logged:
            return f"logged no finite {name}: it logged {logged[name].summary}, which is no number"
        others = ", ".join(list(run.metrics)[:5]) or "nothing"
        returned = run.outputs.summary if run.outputs is not None else "nothing"
        return f"logged no finite {name}: it logged {others} and returned {returned}"

    def _tell(self) -> None:
        """Print how far the search is, unless that was done a moment ago."""
        now, plan = time.monotonic(), self.plan
        if self.progress is None or now - self._told < TELL_EVERY_S:
            return
        self._told = now
        limit = f"/{plan.budget.trials}" if plan.budget.trials else ""
        value = f"{len(find_front(self.trials, plan.modes))} on the front"
        if len(plan.metrics) == 1:
            best = find_best(self.trials, plan.modes[0])
            value = "none succeeded" if best is None else f"best {plan.metrics[0]} {best.value or 0.0:.4f}"
        self.progress.tell("tune", f"{len(self.trials)}{limit} trials, {value}")

    def _tell_step(self, wall_s: float, reason: str, *, hit: bool) -> None:
        if self.progress is not None:
            self.progress.tell_step("tune", wall_s, reason, hit=hit)

    def _rank(self) -> dict[str, float]:
        if len(self.plan.metrics) > 1:
            return {}
        try:
            from mainspring.tuning.adapters.optuna import rank_importances
        except ImportError:
            return {}
        return rank_importances(self.plan.space, self.trials, mode=self.plan.modes[0], seed=self.plan.seed)

    def _fail(self) -> Failed:
        states = [trial.state for trial in self.trials]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        what = f"no trial of {self.plan.step.name} succeeded: {counts or 'none was run'}"
        if self.rounds.cut:
            what = f"{what}; the budget was spent, or somebody stopped the search"
        if self.problem is not None:
            what = f"{what}; the last fault is {self.problem.code}: {self.problem.what}"
        return Failed("TUNE-004", what, run=self.trials[-1].run_id if self.trials else None)


def _leave_out(found: Fingerprint, *names: str) -> Fingerprint:
    return replace(found, inputs={name: text for name, text in found.inputs.items() if name not in names})


def _digest(point: dict[str, Any]) -> str:
    return hashlib.sha256(repr(sorted(point.items())).encode()).hexdigest()[:16]
