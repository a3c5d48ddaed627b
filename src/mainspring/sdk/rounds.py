"""Rounds of a search: runs go out together, are waited for, and cancelled when the budget is spent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from mainspring.domain import messages
from mainspring.domain.errors import Invalid
from mainspring.domain.records import Run
from mainspring.domain.states import STOPPED, TERMINAL
from mainspring.sdk.calls import pack_call
from mainspring.sdk.client import Client
from mainspring.sdk.environments import Prepared
from mainspring.sdk.plans import SEED, Plan
from mainspring.tuning.budgets import Spent, Use, add_up, find_reached, lasts_s

POLL_S = 2.0
LEAST_WAIT_S = 0.02
"""So often at most it is looked whether a budget is spent."""

LOOK_EVERY_S = 1.0
"""So often at most it is looked whether somebody has stopped the search."""

_PAGE = 500
_NAMES = {"hours": "hours", "gpu_hours": "hours of devices", "cost": "cost"}


class Rounds:
    """What a search has running, and what all attempts at it have spent.

    Parameters
    ----------
    client : Client
        Of the search.
    plan : Plan
        The search.
    env : Prepared
        Where its trials run.
    key : str
        Names its trials: the same in each attempt at it.

    Attributes
    ----------
    cut : bool
        What ran was cancelled, because the budget was spent or somebody stopped the search.
    """

    def __init__(self, client: Client, plan: Plan, env: Prepared, key: str) -> None:
        self.client = client
        self.plan = plan
        self.env = env
        self.key = key
        self.study: Run | None = None
        self._runs: dict[str, Run] = {}
        self._began = time.monotonic()
        self._before_s = 0.0
        self.cut = False
        self._looked = self._began
        self._last: list[Run] = []

    def look_back(self, answer: str) -> None:
        """Read what earlier attempts at this search have spent, unless one of them answers.

        Parameters
        ----------
        answer : str
            Key of the attempt that answers.

        Raises
        ------
        Invalid
            TUNE-008 when the budget is spent already.
        """
        budget = self.plan.budget
        if budget.hours is None and budget.gpu_hours is None and budget.cost is None:
            return
        found = self._search(f"tags.study = {self.key}")
        if any(run.kind == "study" and run.key == answer and run.state == "succeeded" for run in found):
            return
        for run in found:
            if run.kind == "trial":
                self._runs[run.id] = run
            elif run.kind == "study" and run.started_at is not None and run.cached_from is None:
                self._before_s += (run.ended_at or time.time()) - run.started_at
        ended = sum(run.state in {"succeeded", "pruned"} for run in self._runs.values())
        spent = self.count_spent()
        reached = find_reached(budget, spent)
        if reached is not None:
            limit, used = getattr(budget, reached), getattr(spent, reached)
            what = f"the budget of {limit:,.4g} {_NAMES[reached]} is spent: earlier attempts at this search took"
            fix = f"give more than {used:,.4g} {reached}: its {ended} trials count, and it goes on"
            raise Invalid("TUNE-008", f"{what} {used:,.4g}; nothing was started", fix=fix)

    def count_spent(self) -> Spent:
        """Return what the search has used by now."""
        hours = (self._before_s + time.monotonic() - self._began) / 3600
        return add_up(self._list_uses(), self.plan.prices, hours=hours)

    def is_spent(self, share: float = 1.0) -> bool:
        """Tell whether so great a part of a limit of time or money was reached, or the study was stopped."""
        if self.cut or self._was_stopped():
            return True
        spent = self.count_spent()
        whole = Spent(spent.trials, spent.hours / share, spent.gpu_hours / share, spent.cost / share)
        return find_reached(self.plan.budget, whole) is not None

    def carry_out(self, wanted: Sequence[tuple[str, messages.RunSpec]]) -> list[Run]:
        """Return the ended runs of a round.

        Parameters
        ----------
        wanted : sequence of (str, RunSpec)
            What names each run within its search, and the run.

        Notes
        -----
        Runs that fall with an earlier attempt at this search are made anew. Each has one
        successor, whose name tells which run it comes after, so that a third attempt finds what
        the second has made. An earlier attempt may turn out to be dead at any time.
        """
        assert self.study is not None
        specs = [spec for _, spec in wanted]
        for name, spec in wanted:
            spec.dedupe = f"trial:{self.key}:{name}"
        runs: list[Run] = self.client.ask(messages.SubmitRuns(runs=specs))
        while True:
            self._runs |= {run.id: run for run in runs}
            fallen = [at for at, run in enumerate(runs) if run.state == "cancelled" and run.parent_id != self.study.id]
            for at in fallen if not self.cut else ():
                specs[at].dedupe = f"trial:{self.key}:{wanted[at][0]}:{runs[at].id}"
                (runs[at],) = self.client.ask(messages.SubmitRuns(runs=[specs[at]]))
            if (self.cut or not fallen) and all(run.state in TERMINAL for run in runs):
                self._last = runs
                return runs
            if self.cut or not fallen:
                runs = self._wait([run.id for run in runs])

    def make_spec(self, point: dict[str, Any], tags: dict[str, str], *, pruner: str, seed: int) -> messages.RunSpec:
        """Return the run that evaluates a point."""
        plan, step = self.plan, self.plan.step
        given = point | ({SEED: seed} if plan.takes_seed else {})
        assert self.study is not None
        return messages.RunSpec(
            kind="trial",
            name=step.name,
            call=pack_call(self.client, step.function, plan.args, {**plan.named, **given}, self.env),
            parent_id=self.study.id,
            params=given,
            tags={"study": self.key, **tags},
            resources=plan.resources,
            retries=step.settings.retries,
            timeout_s=step.settings.timeout_s,
            study=messages.Study(plan.metrics[0], plan.modes[0], pruner),
        )

    def _wait(self, ids: list[str]) -> list[Run]:
        """Wait for the ends of runs, and bring them about when the budget is spent."""
        while True:
            wait_s = POLL_S
            if not self.cut:
                wait_s = min(wait_s, max(LEAST_WAIT_S, self._lasts_s()))
            runs: list[Run] = self.client.ask(messages.WaitRuns(ids=ids, wait_s=wait_s))
            self._runs |= {run.id: run for run in runs}
            if all(run.state in TERMINAL for run in runs):
                return runs
            if self.cut:
                continue
            spent = find_reached(self.plan.budget, self.count_spent()) is not None
            if spent or self._was_stopped():
                self.cut = True
                reason = "the budget of the search is spent" if spent else "the search was stopped"
                self.client.ask(messages.CancelRuns(ids=ids, reason=reason))

    def _lasts_s(self) -> float:
        return lasts_s(self.plan.budget, self.count_spent(), self._list_uses(), self.plan.prices)

    def _list_uses(self) -> list[Use]:
        now = time.time()
        return [
            Use(
                run.resources.cpus * run.resources.nodes,
                run.resources.gpus * run.resources.nodes,
                max(0.0, (run.ended_at or now) - run.started_at) if run.started_at is not None else 0.0,
                run.state not in TERMINAL,
            )
            for run in self._runs.values()
        ]

    def _was_stopped(self) -> bool:
        assert self.study is not None
        now = time.monotonic()
        if now - self._looked >= LOOK_EVERY_S or any(run.state == "cancelled" for run in self._last):
            self._looked = now
            found: Run = self.client.ask(messages.GetRun(id=self.study.id))
            self.cut = STOPPED in found.tags
        return self.cut

    def _search(self, wanted: str) -> list[Run]:
        found: list[Run] = []
        page = ""
        while True:
            answer: messages.RunPage = self.client.ask(messages.SearchRuns(wanted, limit=_PAGE, page=page))
            found += answer.runs
            if answer.next is None:
                return found
            page = answer.next
