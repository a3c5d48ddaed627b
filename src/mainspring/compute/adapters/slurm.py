"""The engine ``slurm://``: runs as jobs of a Slurm cluster that shares the home's folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence

from mainspring.compute import forks
from mainspring.compute.adapters.slurmlink import SlurmLink
from mainspring.compute.adapters.slurmtext import find_refusal, read_address
from mainspring.compute.engine import Description, Handle, Node, Rejection, Spec, Status
from mainspring.domain.errors import Failed
from mainspring.domain.home import Home

PROGRAMS = ("sbatch", "squeue", "scancel", "sinfo", "scontrol")


class SlurmEngine:
    """Executes runs as jobs of a Slurm cluster.

    Parameters
    ----------
    url : str
        ``slurm://?partition=gpu&account=physics``; also ``qos``, ``constraint``, and ``conf``, the
        path of its configuration.
    home : Home
        Whose runs it executes; its folder is on a file system that the nodes share.

    Raises
    ------
    Invalid
        WORK-010 when the URL is none of Slurm.
    Failed
        WORK-009 when Slurm's programs are not on this machine.

    Notes
    -----
    Guarantees: no method waits for Slurm; a thread runs its programs, each within a limit of time,
    and answers are what it has learnt. An attempt is executed once, however often it was submitted.
    Cost: one call of ``sbatch`` for all attempts that ask the same, one of ``squeue`` every 2 s
    while there are any.
    """

    def __init__(self, url: str, home: Home) -> None:
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        if missing:
            raise Failed("WORK-009", f"{url} needs {', '.join(missing)}, which this machine has not", url=url)
        self._url = url
        self._home = home
        mark = hashlib.sha256(url.encode()).hexdigest()[:12]
        self._link = SlurmLink(home, home.root / "slurm" / mark, read_address(url))

    def describe(self) -> Description:
        """Return what the engine can do."""
        return Description(self._url, owns_queue=True, gpus=True, shares_blobs=True, reaches_owner=True)

    def capacity(self) -> list[Node]:
        """Return the nodes of the partition, as they were told last."""
        self._link.want_nodes()
        return list(self._link.nodes)

    def submit(self, specs: Sequence[Spec]) -> list[Handle | Rejection]:
        """Accept attempts."""
        return [self._submit(spec) for spec in specs]

    def poll(self, handles: Sequence[Handle]) -> list[Status]:
        """Return where attempts are."""
        return [self._poll(handle) for handle in handles]

    def cancel(self, handles: Sequence[Handle], grace_s: float, signal: int) -> None:
        """Signal attempts, kill what is left after the grace."""
        self._link.cancel(handles, grace_s, signal)

    def logs(self, handle: Handle, offset: int, limit_bytes: int) -> tuple[bytes, int]:
        """Return what an attempt printed, and how much in all."""
        return forks.read_log(self._home, handle.run_id, handle.attempt, offset, limit_bytes)

    def adopt(self, since: float) -> list[Handle]:
        """Find attempts of this and earlier owners."""
        return self._link.list_accepted(since)

    def release(self, handles: Sequence[Handle]) -> None:
        """Forget ended attempts."""
        self._link.forget(handles)

    def close(self) -> None:
        """Let go; jobs go on."""
        self._link.close()

    def _submit(self, spec: Spec) -> Handle | Rejection:
        handle = Handle(spec.run_id, spec.attempt)
        if self._link.status(handle) is None:
            refusal = find_refusal(spec, self._link.nodes, self._link.limit_s)
            if refusal:
                return Rejection(spec.run_id, spec.attempt, refusal)
            self._link.accept(spec)
        return handle

    def _poll(self, handle: Handle) -> Status:
        # Asked before what is held is: one that is found meanwhile is never called lost.
        found_all = self._link.searched
        status = self._link.status(handle)
        if status is not None:
            return status
        if not found_all:
            return Status(handle.run_id, handle.attempt, "starting", detail="jobs are still being found", queued=True)
        return Status(handle.run_id, handle.attempt, "ended", cause="lost", detail="no job was submitted for it")
