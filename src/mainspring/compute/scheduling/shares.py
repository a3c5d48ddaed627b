"""How much of a cluster each tenant holds and has held, with a memory that fades."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine
from mainspring.compute.scheduling.entitlements import FREE, KINDS, Entitlement


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
    entitlements : mapping of str to Entitlement, optional
        Path -> what was agreed; others weigh 1, with no guarantee and no limit.

    Notes
    -----
    Of each resource the mean share over the past is kept, weighed by an exponential that halves in `half_life_s`; it
    is moved on only when a tenant's runs come or go, in closed form. The score of a tenant is the largest, over the
    resources, of the mean share and the held share together, by its weight: dominant resource fairness (Ghodsi and
    others, NSDI 2011) with a memory.
    """

    def __init__(
        self,
        machines: list[Machine],
        half_life_s: float = 7 * 86_400.0,
        entitlements: Mapping[str, Entitlement] | None = None,
    ) -> None:
        self._rate = math.log(2) / half_life_s if half_life_s else 0.0
        self._entitlements = dict(entitlements or {})
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

    def tell_used(self) -> dict[str, tuple[float, list[float]]]:
        """Return path -> until when its past is counted, and the mean of each resource in it, for `recall`."""
        return {path: (account.at, list(account.mean)) for path, account in self._nodes.items()}

    def recall(self, used: Mapping[str, tuple[float, list[float]]]) -> None:
        """Take over what tenants have had, not what they hold."""
        for path, (at, mean) in used.items():
            mine = self._nodes.setdefault(path, _Account(path, self._entitlements.get(path, FREE)))
            mine.mean, mine.at = list(mean), at

    def move_on(self, now: float) -> None:
        """Count what all hold until now."""
        for account in self._nodes.values():
            account.move(now, self._rate)

    def score(self, tenant: str, now: float) -> tuple[float, ...]:
        """Return by what tenants are compared, the least first: the score of each part of the path, from the top."""
        return tuple(account.score(now, self._rate, self._whole) for account in self._take(tenant))

    def find_limit(self, tenant: str, demand: Demand) -> str:
        """Return whose limit a run would exceed, the topmost; empty: nobody's."""
        asked = measure(demand)
        return next((each.path for each in self._take(tenant) if each.would_exceed(asked)), "")

    def is_due(self, tenant: str, demand: Demand) -> bool:
        """Tell whether a run is within what its tenant, or one above it, is guaranteed."""
        asked = measure(demand)
        return any(asked) and any(each.guarantees(asked) for each in self._take(tenant))

    def can_spare(self, tenant: str, demand: Demand) -> bool:
        """Tell whether a run that is held lies wholly above what its tenant, and those above it, are guaranteed."""
        held = measure(demand)
        return not any(each.needs(held) for each in self._take(tenant))

    def read_parting(self, tenant: str, other: str, demand: Demand | None = None) -> float | None:
        """Return how much a tenant holds of its share, with a demand, where its path parts from that of another.

        Returns
        -------
        float or None
            Of the whole of what it holds most of, by its weight; None: the paths do not part.
        """
        asked = measure(demand) if demand is not None else (0,) * KINDS
        for mine, his in zip(self._take(tenant), self._take(other), strict=False):
            if mine is not his:
                return (
                    max((mine.held[kind] + asked[kind]) / self._whole[kind] for kind in range(KINDS))
                    / mine.agreed.weight
                )
        return None

    def rank(self, tenant: str) -> int:
        """Return the priority of a tenant: its own, or of the nearest above it that has one."""
        told = [each.agreed.priority for each in self._take(tenant) if each.agreed.priority is not None]
        return told[-1] if told else 0

    def read_part(self, tenant: str, now: float) -> float:
        """Return which part of the whole a tenant has had lately, of the resource of which that is the most."""
        account = self._take(tenant)[-1]
        account.move(now, self._rate)
        return max(mean / whole for mean, whole in zip(account.mean, self._whole, strict=True))

    def read_share(self, tenant: str, others: Iterable[str]) -> float:
        """Return which part of the whole is a tenant's by weight, among those that run or wait now."""
        part, mine, active = 1.0, self._take(tenant), [self._take(each) for each in {tenant, *others}]
        for depth, account in enumerate(mine):
            beside = {
                each[depth].path: each[depth].agreed.weight
                for each in active
                if len(each) > depth and (not depth or each[depth - 1] is mine[depth - 1])
            }
            part *= account.agreed.weight / sum(beside.values())
        return part

    def read_held(self, tenant: str) -> tuple[float, ...]:
        """Return what a tenant holds with all below it, in the order of `measure`."""
        return tuple(self._take(tenant)[-1].held)

    def _change(self, tenant: str, demand: Demand, now: float, sign: int) -> None:
        amounts = measure(demand)
        for account in self._take(tenant):
            account.move(now, self._rate)
            for kind in range(KINDS):
                account.held[kind] += sign * amounts[kind]

    def _take(self, tenant: str) -> tuple[_Account, ...]:
        found = self._paths.get(tenant)
        if found is None:
            parts = tenant.split("/")
            paths = ["/".join(parts[: length + 1]) for length in range(len(parts))]
            accounts = [
                self._nodes.setdefault(path, _Account(path, self._entitlements.get(path, FREE))) for path in paths
            ]
            found = self._paths[tenant] = tuple(accounts)
        return found


class _Account:
    """What one tenant holds, and its mean in a past that fades."""

    __slots__ = ("agreed", "at", "held", "mean", "path")

    def __init__(self, path: str, agreed: Entitlement) -> None:
        self.path = path
        self.agreed = agreed
        self.held = [0.0] * KINDS
        self.mean = [0.0] * KINDS
        self.at = 0.0

    def move(self, now: float, rate: float) -> None:
        """Bring the mean up to now; a clock that went back moves nothing."""
        if now > self.at and rate:
            left = math.exp(-rate * (now - self.at))
            self.mean = [held + (mean - held) * left for held, mean in zip(self.held, self.mean, strict=True)]
        self.at = max(self.at, now)

    def score(self, now: float, rate: float, whole: tuple[float, ...]) -> float:
        self.move(now, rate)
        return max((self.held[kind] + self.mean[kind]) / whole[kind] for kind in range(KINDS)) / self.agreed.weight

    def would_exceed(self, asked: tuple[int, ...]) -> bool:
        """Tell whether its limit forbids to hold so much more; what asks nothing of a kind exceeds nothing of it."""
        limit = self.agreed.limit
        return any(asked[kind] and self.held[kind] + asked[kind] > limit[kind] for kind in range(KINDS))

    def guarantees(self, asked: tuple[int, ...]) -> bool:
        """Tell whether so much more is guaranteed to it: of devices where they are asked, else of all kinds asked."""
        sure = self.agreed.guarantee
        kinds = [KINDS - 1] if asked[-1] else range(KINDS)
        return any(sure) and all(not asked[kind] or self.held[kind] + asked[kind] <= sure[kind] for kind in kinds)

    def needs(self, held: tuple[int, ...]) -> bool:
        """Tell whether so much less would be less than what is guaranteed to it."""
        sure = self.agreed.guarantee
        return any(held[kind] and self.held[kind] - held[kind] < sure[kind] for kind in range(KINDS) if sure[kind])
