"""The engine ``local://``: processes of this machine, forked by servers that outlive the owner."""

from __future__ import annotations

import math
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from msgspec.structs import replace

from mainspring.compute import forks
from mainspring.compute.adapters.forklink import ForkLink, Start
from mainspring.compute.devices import choose_devices, find_devices
from mainspring.compute.engine import Description, Handle, Node, Rejection, Spec, Status
from mainspring.compute.scheduling.fitting import find_misfit
from mainspring.domain.errors import Invalid
from mainspring.domain.home import Home
from mainspring.domain.pools import LOCAL_POOL
from mainspring.domain.units import parse_size

MOST_NODES = 64
"""Into which a share of this machine may be cut."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}\Z")


class _Accepted(NamedTuple):
    """An attempt, whose server it is, since when, and how much of which devices it was given."""

    link: ForkLink
    at: float
    devices: tuple[str, ...]
    share: float


class LocalEngine:
    """Executes runs as processes of this machine.

    Parameters
    ----------
    url : str
        ``local://``: all of this machine; ``local://NAME?cpus=4&memory=8GB&gpus=2``: a share of it. With ``nodes=2``
        the share is cut into so many equal nodes, ``n1`` and ``n2``; with ``gpu_type=A100`` its devices are that.
    home : Home
        Whose runs it executes.

    Notes
    -----
    Guarantees: no method waits; threads talk to one fork server for each interpreter and number
    of threads, because numeric libraries read that number once, when they are loaded, and one for
    each environment with its variables.

    Raises
    ------
    Invalid
        POOL-002 when the URL says something else.
    """

    def __init__(self, url: str, home: Home) -> None:
        self._url = url
        self._home = home
        self._nodes = {node.name: node for node in _read_share(url)}
        self._share = urlsplit(url).netloc or LOCAL_POOL
        self._links: dict[Path, ForkLink] = {}
        self._searched = False
        self._accepted: dict[Handle, _Accepted] = {}
        self._later: dict[Handle, Spec] = {}

    def describe(self) -> Description:
        """Return what the engine can do."""
        return Description(self._url, owns_queue=False, gpus=self._has_gpus, shares_blobs=True, reaches_owner=True)

    def capacity(self) -> list[Node]:
        """Return this machine, or the nodes into which it is cut."""
        return [*self._nodes.values()]

    def submit(self, specs: Sequence[Spec]) -> list[Handle | Rejection]:
        """Accept attempts."""
        return [self._submit(spec) for spec in specs]

    def poll(self, handles: Sequence[Handle]) -> list[Status]:
        """Return where attempts are."""
        # Asked before what they have told is taken: what one of them holds is never called lost.
        found_all = self._is_settled()
        self._learn()
        if found_all:
            self._launch_later()
        return [self._poll(handle, found_all) for handle in handles]

    def cancel(self, handles: Sequence[Handle], grace_s: float, signal: int) -> None:
        """Signal attempts, kill what is left after the grace."""
        for handle in handles:
            if self._later.pop(handle, None) is None and handle in self._accepted:
                message = forks.Cancel(handle.run_id, handle.attempt, grace_s, signal)
                self._accepted[handle].link.post(message)

    def logs(self, handle: Handle, offset: int, limit_bytes: int) -> tuple[bytes, int]:
        """Return what an attempt printed, and how much in all."""
        return forks.read_log(self._home, handle.run_id, handle.attempt, offset, limit_bytes)

    def adopt(self, since: float) -> list[Handle]:
        """Find attempts of this and earlier owners; fork servers that answer later add theirs then."""
        if not self._searched:
            self._searched = True
            paths = [path for node in self._nodes for path in forks.find_sockets(self._home, self._name(node))]
            for path in paths:
                if path not in self._links:
                    self._links[path] = ForkLink(path)
        self._learn()
        return [handle for handle, each in self._accepted.items() if each.at >= since]

    def release(self, handles: Sequence[Handle]) -> None:
        """Forget ended attempts."""
        for handle in handles:
            known = self._accepted.pop(handle, None)
            if known is not None:
                known.link.forget(handle)

    def close(self) -> None:
        """Let the fork servers go; they end when their work is done."""
        for link in self._links.values():
            link.close()

    def _submit(self, spec: Spec) -> Handle | Rejection:
        handle = Handle(spec.run_id, spec.attempt)
        node = self._nodes.get(spec.node) or next(iter(self._nodes.values()))
        misfit = find_misfit([node], "step", spec.resources)
        if misfit:
            return Rejection(spec.run_id, spec.attempt, misfit)
        if handle not in self._accepted:
            python = spec.python or sys.executable
            threads = max(1, int(spec.resources.cpus))
            path = forks.socket_path(self._home, self._name(node.name), spec, python, threads)
            link = self._links.get(path) or self._links.setdefault(path, ForkLink(path))
            link.start = Start(self._home, python, threads, spec.environment, spec.variables)
            self._accepted[handle] = _Accepted(link, time.time(), (), 0.0)
            self._later[handle] = spec
            if spec.resources.gpus:
                self.adopt(0.0)  # what earlier owners have left may have devices
            if not spec.resources.gpus or self._is_settled():
                self._launch(handle)
        return handle

    def _is_settled(self) -> bool:
        """Tell whether all that earlier owners have left is known: before, nobody can say which devices are free."""
        return self._searched and all(link.settled for link in self._links.values())

    def _launch_later(self) -> None:
        for handle in [*self._later]:
            self._launch(handle)

    def _launch(self, handle: Handle) -> None:
        """Have an attempt executed on devices of its own, unless a fork server has told that it does so already."""
        spec, (link, at, _, _) = self._later.pop(handle), self._accepted[handle]
        status, gpus = link.status(handle), spec.resources.gpus
        if status is not None:
            self._accepted[handle] = _Accepted(link, at, status.devices, min(gpus, 1.0))
            return
        node = self._nodes.get(spec.node) or next(iter(self._nodes.values()))
        devices = choose_devices(node.devices, self._count_used(), gpus)
        self._accepted[handle] = _Accepted(link, at, devices, min(gpus, 1.0))
        link.launch(replace(spec, devices=devices))

    @property
    def _has_gpus(self) -> bool:
        return any(node.gpus for node in self._nodes.values())

    def _name(self, node: str) -> str:
        """Return the name by which fork servers of a node are told from those of other pools."""
        return node if len(self._nodes) == 1 else f"{self._share}/{node}"

    def _poll(self, handle: Handle, found_all: bool) -> Status:
        known = self._accepted.get(handle)
        status = known.link.status(handle) if known else None
        if status is not None:
            return status
        if handle in self._later or not found_all:
            return Status(handle.run_id, handle.attempt, "starting", detail="fork servers are still being found")
        return Status(handle.run_id, handle.attempt, "ended", cause="lost", detail="its fork server ended")

    def _learn(self) -> None:
        for link in self._links.values():
            for handle in link.take_adopted():
                status = link.status(handle)
                devices = status.devices if status is not None else ()
                self._accepted.setdefault(handle, _Accepted(link, time.time(), devices, 1.0))

    def _count_used(self) -> dict[str, float]:
        """Return device -> how much of it is given away."""
        used: dict[str, float] = {}
        for handle, each in self._accepted.items():
            status = each.link.status(handle) if each.devices else None
            if status is not None and status.state != "ended":
                used |= {device: used.get(device, 0.0) + each.share for device in each.devices}
        return used


def _read_share(url: str) -> list[Node]:
    parts = urlsplit(url)
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    name = parts.netloc or LOCAL_POOL
    found = find_devices()
    gpus, memory = asked.pop("gpus", str(len(found))), asked.pop("memory", None)
    gpu_type, nodes = asked.pop("gpu_type", ""), asked.pop("nodes", "1")
    memory_bytes = count_memory() if memory is None else parse_size(memory)
    try:
        cpus = float(asked.pop("cpus", count_cpus()))
    except ValueError:
        raise Invalid("POOL-002", f"{url} asks for cpus that are no number", url=url) from None
    whole = gpus.isdecimal() and nodes.isdecimal() and 0 < int(nodes) <= MOST_NODES and not int(gpus) % int(nodes)
    if asked or parts.path.strip("/") or not _NAME.match(name) or not whole or not 0 < cpus < math.inf:
        why = "local://NAME takes cpus, memory, a whole number of gpus, gpu_type, and nodes that share the gpus equally"
        raise Invalid("POOL-002", f"{url} is no share of this machine", why=why, url=url)
    devices = (*found, *(str(number) for number in range(int(gpus)) if str(number) not in found))[: int(gpus)]
    count, each = int(nodes), int(gpus) // int(nodes)
    return [
        Node(
            name if count == 1 else f"n{number + 1}",
            cpus / count,
            memory_bytes // count,
            float(each),
            gpu_type if each else "",
            devices[number * each : (number + 1) * each],
        )
        for number in range(count)
    ]


def count_cpus() -> float:
    """Return the cores that this process may use, at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1.0, min(float(cores), float(quota) / float(period)))
    except (OSError, ValueError):
        return float(cores)


def count_memory() -> int:
    """Return the bytes of main memory that this process may use."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(path).read_text()))
        except (OSError, ValueError):
            continue
    return total
