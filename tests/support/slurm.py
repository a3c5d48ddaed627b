"""A Slurm cluster of one machine: the real daemons, in a folder of their own, with devices that are none."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from mainspring.compute.adapters.slurm import SlurmEngine
from mainspring.testing.engines import until

DEVICES = 8
CORES = 16
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
_PATIENCE_S = 60.0

_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
GresTypes=gpu
ReturnToService=2
KillWait=30
MinJobAge={min_job_age_s}
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=32000 Gres=gpu:{devices} State=UNKNOWN
PartitionName=lab Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes={host} MaxTime=10 State=UP
"""


class SlurmCluster:
    """`munged`, `slurmctld` and `slurmd` on loopback, with eight devices that are terminals in truth.

    Attributes
    ----------
    conf : Path
        What ``SLURM_CONF`` names for its clients.
    """

    def __init__(self, *, min_job_age_s=300):
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)
        self.conf = self.folder / "slurm.conf"
        self._processes = {}
        try:
            self._write(min_job_age_s)
            self._start_munged()
            self.start("slurmctld")
            self.start("slurmd")
            self._await(
                lambda: self.run("sinfo", "-h", "-o", "%T", "-p", "lab").stdout.strip() == "idle", "an idle node"
            )
        except BaseException:
            self.close()
            raise

    def run(self, *command):
        """Run a client of the cluster."""
        environment = {**os.environ, "SLURM_CONF": str(self.conf)}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)

    def start(self, name):
        """Start one of the two daemons; it stays a child."""
        environment = {**os.environ, "SLURM_CONF": str(self.conf)}
        words = {"slurmctld": ["slurmctld", "-D"], "slurmd": ["slurmd", "-D", "-N", socket.gethostname()]}[name]
        words[0] = _find(words[0])
        with (self.folder / f"{name}.out").open("ab") as output:
            self._processes[name] = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
            )

    def stop(self, name, number=signal.SIGTERM):
        """End one of the daemons."""
        process = self._processes.pop(name)
        process.send_signal(number)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self):
        """End the jobs, then the daemons."""
        if "slurmctld" in self._processes and "slurmd" in self._processes:
            self.run("scancel", "--state=PENDING", "--me")
            self.run("scancel", "--signal=KILL", "--full", "--me")
            self.run("scancel", "--me")
        for name in reversed(list(self._processes)):
            self.stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, min_job_age_s):
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        with socket.socket() as first, socket.socket() as second:
            for each in (first, second):
                each.bind(("127.0.0.1", 0))
            ports = [each.getsockname()[1] for each in (first, second)]
        text = _CONF.format(
            host=socket.gethostname(),
            user=pwd.getpwuid(os.getuid()).pw_name,
            folder=self.folder,
            ctld_port=ports[0],
            slurmd_port=ports[1],
            cores=CORES,
            devices=DEVICES,
            min_job_age_s=min_job_age_s,
        )
        self.conf.write_text(text)
        gres = f"NodeName={socket.gethostname()} Name=gpu File=/dev/tty[0-{DEVICES - 1}]\n"
        (self.folder / "gres.conf").write_text(gres)

    def _start_munged(self):
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        words = [_find("munged"), "--foreground", "--force", "--num-threads=2"]
        for name, file in (("key-file", "munge.key"), ("socket", "munge.sock"), ("pid-file", "munge.pid")):
            words.append(f"--{name}={self.folder / file}")
        words += [f"--log-file={self.folder / 'munge.log'}", f"--seed-file={self.folder / 'munge.seed'}"]
        with (self.folder / "munged.out").open("ab") as output:
            self._processes["munged"] = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self._await((self.folder / "munge.sock").exists, "munged")

    def _await(self, check, what):
        until = time.monotonic() + _PATIENCE_S
        while not check():
            logs = [path.read_text()[-2000:] for path in sorted(self.folder.glob("*.[lo][ou][gt]"))]
            assert time.monotonic() < until, f"Slurm does not get to {what}: " + "\n".join(logs)
            time.sleep(0.05)


class SlurmHome(SlurmEngine):
    """The cluster that the environment names, where ``local://`` would be: all runs of an owner are jobs."""

    def __init__(self, url, home):
        super().__init__(f"slurm://?partition=lab&conf={os.environ['SLURM_CONF']}", home)
        for _ in until():  # what no node can hold is refused as soon as the nodes are known
            if self.capacity():
                break


def is_installed():
    """Tell whether the daemons and clients are on this machine."""
    return all(map(_find, _PROGRAMS))


def _find(name):
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
