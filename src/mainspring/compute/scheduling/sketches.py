"""A state as it travels: all that decisions look at, for whoever looks ahead elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.demands import Demand, Machine
from mainspring.compute.scheduling.durations import Past
from mainspring.compute.scheduling.entitlements import Entitlement
from mainspring.compute.scheduling.fragments import Mix
from mainspring.compute.scheduling.policies import Policy
from mainspring.compute.scheduling.state import Running, State


class Sketch(msgspec.Struct, frozen=True):
    """A state at one moment, and what was seen before it.

    Attributes
    ----------
    run_id : str
        The run that is asked about; it waits.
    now : float
        Seconds, of the same clock as all times in it.
    machines : list of Machine
        Where runs may be placed.
    drained : list of Machine
        Those on which nothing more may start, with what is free of them.
    policy : Policy
        How decisions are taken.
    agreed : dict of str to Entitlement
        Tenant -> what was agreed about its part.
    running : list of Running
        What has its place.
    lent : list of str
        Runs whose cores others may use.
    waiting : list of Job
        What waits, the first in line first; of many, the first and the run itself.
    names : dict of str to str
        Run -> its name, of those that run or wait.
    used : dict of str to (float, list of float)
        Tenant -> what it has had, and up to when.
    past : list of Past
        What came before, in the order in which it came.
    """

    run_id: str
    now: float
    machines: list[Machine]
    drained: list[Machine]
    policy: Policy
    agreed: dict[str, Entitlement]
    running: list[Running]
    lent: list[str]
    waiting: list[Job]
    names: dict[str, str]
    used: dict[str, tuple[float, list[float]]]
    past: list[Past]

    @property
    def job(self) -> Job:
        """The run that is asked about."""
        return next(job for job in self.waiting if job.run_id == self.run_id)

    def count_typical(self) -> Mix:
        """Return what is usually asked; worth keeping, for it remembers what it was asked."""
        asked: list[Demand] = [each.demand for each in self.past]
        return Mix.of(asked + [each.job.demand for each in self.running] + [each.demand for each in self.waiting])

    def restore(self, typical: Mix, *, seed: int = 0) -> State:
        """Make the state anew; nobody waits in it yet.

        Parameters
        ----------
        typical : Mix
            What `count_typical` returned.
        seed : int, default 0
            Of what is left to chance.
        """
        state = State(self.machines, self.policy, typical, self.agreed, seed=seed)
        state.shares.recall(self.used)
        for each in self.running:
            spots = each.spots if all(spot.machine in state.machines for spot in each.spots) else ()
            state.note(each.job, spots, each.since_s, self.now)
        for run_id in self.lent:
            state.lend(run_id, self.now)
        return state


def sketch(
    state: State,
    run_id: str,
    now: float,
    *,
    line: Sequence[Job],
    drained: Sequence[Machine] = (),
    names: Mapping[str, str] | None = None,
    past: Sequence[Past] = (),
    most: int = 2000,
) -> Sketch:
    """Sketch a state.

    Parameters
    ----------
    state : State
        Nothing of it is changed.
    run_id : str
        The run that is asked about; it waits.
    now : float
        Seconds.
    line : sequence of Job
        What waits, the first in line first.
    drained, names, past
        See `Sketch`.
    most : int, default 2000
        So many of those that wait are kept.
    """
    waiting = list(line[:most])
    if all(job.run_id != run_id for job in waiting):
        waiting.append(next(job for job in line if job.run_id == run_id))
    return Sketch(
        run_id,
        now,
        [*state.machines.values()],
        list(drained),
        state.policy,
        state.agreed,
        [*state.running.values()],
        sorted(state.lent),
        waiting,
        dict(names or {}),
        state.shares.tell_used(),
        list(past),
    )
