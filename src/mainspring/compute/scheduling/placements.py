"""Rules by which machines are chosen: ours, and those it is measured beside."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from mainspring.compute.scheduling.cluster import Cluster, Free, Score
from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine, Spot
from mainspring.compute.scheduling.fragments import Mix


def descend(mix: Mix) -> Score:
    """Make the rule that leaves the fewest devices stranded for what is typically asked.

    Parameters
    ----------
    mix : Mix
        What is typical.
    """

    def score(free: Free, demand: Demand, devices: tuple[int, ...]) -> float:
        left = list(free.devices)
        for device in devices:
            left[device] -= demand.gpu_milli
        kind = free.machine.gpu_type
        after = mix.strand(kind, free.cpu_milli - demand.cpu_milli, left)
        return after - mix.strand(kind, free.cpu_milli, free.devices)

    return score


def fit_best(machines: Iterable[Machine]) -> Score:
    """Make the rule that takes the machine with the least left, cores and devices weighing the same.

    Parameters
    ----------
    machines : iterable of Machine
        Of the cluster: what is left is a part of what the largest of them has.
    """
    largest = list(machines)
    most_cpu = max((machine.cpu_milli for machine in largest), default=0) or 1
    most_gpu = (max((machine.gpus for machine in largest), default=0) or 1) * WHOLE

    def score(free: Free, demand: Demand, devices: tuple[int, ...]) -> float:
        left = sum(free.devices) - demand.gpus * demand.gpu_milli
        # Of the devices of one machine the fullest that still holds it; the sum cannot tell them apart.
        tight = free.devices[devices[0]] if demand.shares else 0
        return (free.cpu_milli - demand.cpu_milli) / most_cpu + left / most_gpu + tight * 1e-9

    return score


def find_at_random(cluster: Cluster, demand: Demand, randomness: Random) -> tuple[Spot, ...] | None:
    """Choose one of the machines that hold a demand, and of its devices, all with the same chance.

    Parameters
    ----------
    cluster : Cluster
        Nothing of it is changed.
    demand : Demand
        What is asked; no gang.
    randomness : random.Random
        Seeded.

    Returns
    -------
    tuple of Spot or None
        None when no machine holds it.
    """
    fitting = [free for free in cluster if free.holds(demand)]
    if not fitting:
        return None
    free = randomness.choice(fitting)
    return (Spot(free.machine.name, randomness.choice([*free.list_choices(demand)])),)
