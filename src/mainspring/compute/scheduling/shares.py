"""How much of a cluster each tenant holds and has held, with a memory that fades."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine

_KINDS = 3


def measure(demand: Demand) -> tuple[int, int, int]:
    """Return what a run takes of cores (thousandths), memory (bytes) and devices (thousandths) in all."""
    return demand.cpu_milli * demand.nodes, demand.memory_bytes * demand.nodes, demand.gpu_total_milli


class Shares:
    """The weighted dominant shares of tenants, what they hold and what they held before.

    A tenant is a path, ``lab/vision/anna``; each part of it is a tenant of its own, that shares with its siblings.

    Parameters
    ----------
    machines : iterable of Machine
        The whole.
    half_life_s : float
        Seconds in which what was used counts half; 0: only what is held counts.
    weights : mapping of str to float, optional
        Path -> weight, > 0; others weigh 1.

    Notes
    -----
    Of each resource the mean share over the past is kept, weighed by an exponential that halves in `half_life_s`; it
    is moved on only when a tenant's runs come or go, in closed form. The score of a tenant is the largest, over the
    resources, of the mean share and the held share together, by its weight: dominant resource fairness (Ghodsi and
    others, NSDI 2011) with a memory.
    """

    def __init__(
        self, machines: list[Machine], half_life_s: float = 7 * 86_400.0, weights: Mapping[str, float] | None = None
    ) -> None:
        self._rate = math.log(2) / half_life_s if half_life_s else 0.0
        self._weights = dict(weights or {})
        self._nodes: dict[str, _Account] = {}
        self._paths: dict[str, tuple[_Account, ...]] = {}
        whole = (
            sum(machine.cpu_milli for machine in machines),
            sum(machine.memory_bytes for machine in machines),
            sum(machine.gpus for machine in machines) * WHOLE,
        )
        self._whole = tuple(float(each) or math.inf for each in whole)

    def start(self, tenant: str, demand: Demand, now: float) -> None:
        """Count a run that starts."""
        self._change(tenant, demand, now, 1)

    def end(self, tenant: str, demand: Demand, now: float) -> None:
        """Count a run that ends."""
        self._change(tenant, demand, now, -1)

    def score(self, tenant: str, now: float) -> tuple[float, ...]:
        """Return by what tenants are compared, the least first: the score of each part of the path, from the top."""
        return tuple(account.score(now, self._rate, self._whole) for account in self._take(tenant))

    def _change(self, tenant: str, demand: Demand, now: float, sign: int) -> None:
        amounts = measure(demand)
        for account in self._take(tenant):
            account.move(now, self._rate)
            for kind in range(_KINDS):
                account.held[kind] += sign * amounts[kind]

    def _take(self, tenant: str) -> tuple[_Account, ...]:
        found = self._paths.get(tenant)
        if found is None:
            parts = tenant.split("/")
            paths = ["/".join(parts[: length + 1]) for length in range(len(parts))]
            accounts = [self._nodes.setdefault(path, _Account(self._weights.get(path, 1.0))) for path in paths]
            found = self._paths[tenant] = tuple(accounts)
        return found


class _Account:
    """What one tenant holds, and its mean in a past that fades."""

    __slots__ = ("at", "held", "mean", "weight")

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.held = [0.0] * _KINDS
        self.mean = [0.0] * _KINDS
        self.at = 0.0

    def move(self, now: float, rate: float) -> None:
        """Bring the mean up to now; a clock that went back moves nothing."""
        if now > self.at and rate:
            left = math.exp(-rate * (now - self.at))
            self.mean = [held + (mean - held) * left for held, mean in zip(self.held, self.mean, strict=True)]
        self.at = max(self.at, now)

    def score(self, now: float, rate: float, whole: tuple[float, ...]) -> float:
        self.move(now, rate)
        return max((self.held[kind] + self.mean[kind]) / whole[kind] for kind in range(_KINDS)) / self.weight
