"""The engine ``slurm://``: runs as jobs of a Slurm cluster that shares the home's folder."""

from __future__ import annotations

import hashlib
import shutil

from mainspring.compute.adapters.slurmlink import SlurmLink
from mainspring.compute.adapters.slurmtext import read_address
from mainspring.compute.engine import Description
from mainspring.compute.remote import RemoteEngine
from mainspring.domain.errors import Failed
from mainspring.domain.home import Home

PROGRAMS = ("sbatch", "squeue", "scancel", "sinfo", "scontrol")


class SlurmEngine(RemoteEngine):
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
    Guarantees: a thread runs Slurm's programs, each within a limit of time. An attempt is executed once, however
    often it was submitted.
    Cost: one call of ``sbatch`` for all attempts that ask the same, one of ``squeue`` every 2 s
    while there are any.
    """

    def __init__(self, url: str, home: Home) -> None:
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        if missing:
            raise Failed("WORK-009", f"{url} needs {', '.join(missing)}, which this machine has not", url=url)
        mark = hashlib.sha256(url.encode()).hexdigest()[:12]
        link = SlurmLink(home, home.root / "slurm" / mark, read_address(url))
        can = Description(url, owns_queue=True, gpus=True, shares_blobs=True, reaches_owner=True)
        super().__init__(home, can, link)
