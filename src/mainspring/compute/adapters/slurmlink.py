"""The engine's side of Slurm: a thread that runs its programs and keeps what they have told."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mainspring.compute.adapters import slurmtext
from mainspring.compute.adapters.slurmbatch import KILL, Batch, list_batches, write_batch
from mainspring.compute.adapters.slurmtext import Address, Job
from mainspring.compute.engine import Handle, Node, Spec
from mainspring.compute.remote import Attempt, Link
from mainspring.domain.home import Home

COMMAND_S = 30.0
"""So long a program of Slurm may take; its own patience with a daemon that is down is 9 s."""

_LOOK_S = 0.25
_ASK_S = 2.0
_AGAIN_S = 5.0
_PROBE_S = 30.0
_VANISHED_S = 5.0
"""So long a task may be missing from the queue before it counts as lost: its mark may be slow to arrive."""

_MOST_ARGUMENTS = 500
_NAMES = ("PATH", "HOME", "USER", "LOGNAME", "LANG")


class SlurmAwayError(Exception):
    """Slurm is out of order for the moment."""


class SlurmRefusalError(Exception):
    """Slurm will not do it, however often it is asked."""


class Task(Attempt):
    """An attempt as a task of an array.

    Attributes
    ----------
    batch, task : Batch or None, int
        Where it was written.
    job : Job or None
        What Slurm said of it last.
    missed_at : float or None
        Monotonic time since when its end is to be guessed: Slurm tells of none, or it left no mark.
    code : int or None
        How its job says that it was ended by a signal; whose that was, Slurm has to tell.
    signalled, killed : bool
        What of its end has been done.
    """

    def __init__(self, handle: Handle, since: float, spec: Spec | None = None) -> None:
        super().__init__(handle, since, spec)
        self.batch: Batch | None = None
        self.task = 0
        self.job: Job | None = None
        self.missed_at: float | None = None
        self.code: int | None = None
        self.signalled = self.killed = False
        self.change(queued=True, detail="on its way to Slurm")


class SlurmLink(Link[Task]):
    """A thread that submits attempts, asks where they are and ends them.

    Parameters
    ----------
    home : Home
        Whose runs they are.
    root : Path
        Folder of the batches.
    address : Address
        Where in Slurm they go.
    """

    def __init__(self, home: Home, root: Path, address: Address) -> None:
        super().__init__(f"slurm {root.name}")
        self._home = home
        self._root = root
        self._address = address
        self._nodes: list[Node] = []
        self._limit_s: float | None = None
        self._most_tasks = 1
        self._batches: dict[str, Batch] = {}
        self._due = dict.fromkeys(("probe", "ask", "send", "end"), 0.0)
        self._away = ""

    # --- called by the engine ------------------------------------------------------------

    def make_attempt(self, handle: Handle, since: float, spec: Spec | None = None) -> Task:
        """Return what is kept of an attempt."""
        return Task(handle, since, spec)

    def list_nodes(self) -> list[Node]:
        """Return the nodes of the partition; none while Slurm does not answer. They are asked for now and then."""
        if time.monotonic() >= self._due["probe"]:
            self._woken.set()
        return list(self._nodes)

    def find_refusal(self, spec: Spec) -> str:
        """Tell why no node of the partition could ever hold an attempt."""
        return slurmtext.find_refusal(spec, self._nodes, self._limit_s)

    def hurry(self) -> None:
        """Look at once at what is to end."""
        self._due["end"] = 0.0

    def drop(self, attempt: Task) -> None:
        """Let an attempt go; the folder goes with the last of its batch."""
        batch = attempt.batch
        if batch is not None and not any(each.batch is batch for each in self._attempts.values()):
            self._batches.pop(batch.name, None)
            batch.remove()

    # --- the thread ----------------------------------------------------------------------

    def look(self) -> None:
        """Submit, ask and end what there is."""
        if not self.searched:
            self._search()
        if self._is_due("probe", _PROBE_S):
            self._guarded(self._probe)
        if self._list_live():
            self._read_marks()
            if self._is_due("ask", _ASK_S):
                self._guarded(self._ask)
            self._guarded(self._submit)
            self._guarded(self._end)

    def rest(self) -> None:
        """Wait a little while there are attempts, else until somebody wants something."""
        self._woken.wait(_LOOK_S if self._list_live() else None)

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do what Slurm is needed for; what it cannot do now waits, and is told."""
        try:
            act()
            self._away = ""
        except (SlurmAwayError, SlurmRefusalError) as error:
            self._away = f"Slurm does not answer: {error}"
            again = time.monotonic() + _AGAIN_S
            with self._lock:
                self._due = dict.fromkeys(self._due, again)
                if act == self._probe:
                    self._nodes = []
                for each in self._list_live():
                    if each.status.state == "starting":
                        each.change(detail=self._away, queued=True)

    def _is_due(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._due[what]:
            return False
        self._due[what] = now + every_s
        return True

    def _search(self) -> None:
        """Find what earlier owners have left; it counts before what was accepted meanwhile."""
        for batch in list_batches(self._root):
            with self._lock:
                self._batches[batch.name] = batch
                for task, handle in enumerate(batch.handles):
                    found = self._attempts.setdefault(handle, Task(handle, batch.since))
                    found.spec, found.batch, found.task = None, batch, task
        self.searched = True

    def _probe(self) -> None:
        """Ask for the nodes and the limits of the partition."""
        where = [f"--partition={self._address.partition}"] if self._address.partition else []
        nodes = slurmtext.read_nodes(self._run(["sinfo", "-h", "-N", *where, "-O", slurmtext.NODE_FORMAT]))
        if not where:
            # The default partition is marked by a star.
            lines = self._run(["sinfo", "-h", "-o", "%P|%l"]).splitlines()
            limits = [line.partition("|")[2] for line in lines if "*" in line.partition("|")[0]]
        else:
            limits = self._run(["sinfo", "-h", *where, "-o", "%l"]).splitlines()
        most_tasks = slurmtext.read_most_tasks(self._run(["scontrol", "show", "config"]))
        with self._lock:
            self._nodes = nodes
            self._limit_s = slurmtext.read_limit(limits[0]) if limits else None
            self._most_tasks = most_tasks

    def _submit(self) -> None:
        """Submit what was accepted since, in as few calls as there are different wishes."""
        if time.monotonic() < self._due["send"]:
            return
        wishes: dict[tuple[str, ...], list[Task]] = {}
        for each in self._list_live():
            if each.spec is not None and each.batch is None:
                if each.kill_at is not None:
                    each.end("cancelled", "cancelled before it was submitted")
                else:
                    wishes.setdefault(slurmtext.make_options(each.spec, self._address), []).append(each)
        for options, attempts in wishes.items():
            for at in range(0, len(attempts), self._most_tasks):
                self._write(attempts[at : at + self._most_tasks], options)

    def _write(self, attempts: list[Task], options: Sequence[str]) -> None:
        try:
            batch = write_batch(self._home, self._root, [each.spec for each in attempts if each.spec is not None])
        except OSError as fault:
            for each in attempts:
                each.end("unstartable", f"its job cannot be written: {fault}")
            return
        with self._lock:
            self._batches[batch.name] = batch
            for task, each in enumerate(attempts):
                each.batch, each.task = batch, task
        self._send(batch, range(len(attempts)), options)

    def _send(self, batch: Batch, tasks: Iterable[int], options: Sequence[str]) -> None:
        command = ["sbatch", "--parsable", f"--job-name={batch.name}", f"--array={slurmtext.make_range(tasks)}"]
        command += ["--no-requeue", "--chdir=/", f"--output={batch.folder}/slurm-%a.out", *options]
        try:
            self._run(command, batch.script)
        except SlurmRefusalError as refusal:
            with self._lock:
                for each in self._list_live():
                    if each.batch is batch:
                        each.end("unstartable", f"Slurm refused it: {refusal}")
            return
        batch.note_submitted()
        self._due["ask"] = 0.0

    def _read_marks(self) -> None:
        """Read the marks that tasks leave."""
        live = self._list_live()
        marks = {batch.name: batch.read_marks() for batch in {each.batch for each in live if each.batch is not None}}
        with self._lock:
            for each in live:
                if each.batch is None:
                    continue
                begun, codes = marks[each.batch.name]
                if each.task in codes and codes[each.task] > 128 and not each.signal:
                    if each.code is None:
                        each.code, self._due["ask"] = codes[each.task], 0.0
                elif each.task in codes:
                    each.end_by_code(codes[each.task])
                elif each.task in begun and each.status.state == "starting":
                    each.change(state="running", queued=False, detail="")

    def _ask(self) -> None:
        """Ask Slurm for all jobs of this user at once; what it has forgotten is lost, or was never submitted."""
        if not any(each.batch for each in self._list_live()):
            return
        user = str(os.getuid())
        text = self._run(["squeue", "-h", "-r", "-t", "all", "-u", user, "-O", slurmtext.JOB_FORMAT])
        jobs = slurmtext.read_jobs(text)
        # A task that has ended has left its mark before Slurm told so.
        self._read_marks()
        unsent: dict[str, list[Task]] = {}
        with self._lock:
            for each in self._list_live():
                if each.batch is None:
                    continue
                each.job = jobs.get((each.batch.name, each.task))
                if each.job is not None:
                    self._note(each, each.job)
                elif not each.batch.submitted and each.status.state == "starting":
                    unsent.setdefault(each.batch.name, []).append(each)
                else:
                    self._miss(each, "Slurm knows it no more")
        for name, attempts in unsent.items():
            self._send_again(self._batches[name], attempts)

    def _send_again(self, batch: Batch, attempts: list[Task]) -> None:
        tasks = [each.task for each in attempts if each.kill_at is None]
        for each in attempts:
            if each.kill_at is not None:
                each.end("cancelled", "cancelled before it was submitted")
        if tasks:
            self._send(batch, tasks, slurmtext.make_options(batch.read_specs()[tasks[0]], self._address))

    def _note(self, attempt: Task, job: Job) -> None:
        if job.ended and job.state in {"COMPLETED", "FAILED"}:
            self._miss(attempt, f"its job has {job.state.lower()}, and left no mark")
        elif job.ended:
            words = attempt.batch.read_words(attempt.task) if attempt.batch else ""
            why = f" ({job.reason})" if job.reason else ""
            attempt.end(job.cause, f"Slurm: {job.state.lower().replace('_', ' ')}{why}{words and ': '}{words}")
        elif job.waits:
            attempt.missed_at = None
            attempt.change(queued=True, detail=f"waiting in Slurm: {job.reason or 'its turn'}")
        else:
            attempt.missed_at = None
            attempt.change(state="running", queued=False, detail=f"on {job.nodes}" if job.nodes else "")

    def _miss(self, attempt: Task, detail: str) -> None:
        now = time.monotonic()
        attempt.missed_at = attempt.missed_at or now
        if attempt.code is not None:
            attempt.end_by_code(attempt.code)
        elif now - attempt.missed_at >= _VANISHED_S:
            attempt.end("lost", detail)

    def _end(self) -> None:
        """Signal what was told to end, and kill it when its grace is over."""
        now = time.monotonic()
        if now < self._due["end"]:
            return
        told = [each for each in self._list_live() if each.kill_at is not None and each.job is not None]
        fresh = [each for each in told if not each.signalled]
        over = [each for each in told if each.signalled and each.kill_at is not None and now >= each.kill_at]
        if fresh:
            # One that waits is taken away; `--signal` alone would hold out until it had started.
            self._cancel(["--state=PENDING"], fresh)
            for number in {each.signal for each in fresh}:
                same = [each for each in fresh if each.signal == number]
                # The shell is told to kill; were it killed itself, nobody would end what it has started.
                word = int(KILL) if number == signal.SIGKILL else number
                self._cancel(["--state=RUNNING", "--batch", f"--signal={word}"], same)
            for each in fresh:
                each.signalled = True
            self._due["ask"] = 0.0
        if over:
            self._cancel(["--state=RUNNING", "--batch", f"--signal={int(KILL)}"], over)
            # What is there at a second look is left to Slurm, which has a grace of its own.
            if again := [each for each in over if each.killed]:
                self._cancel([], again)
            for each in over:
                each.killed = True
            self._due["ask"], self._due["end"] = 0.0, now + _ASK_S

    def _cancel(self, options: list[str], attempts: list[Task]) -> None:
        numbers = [each.job.number for each in attempts if each.job is not None]
        for at in range(0, len(numbers), _MOST_ARGUMENTS):
            # It fails for what has ended meanwhile, and does the rest.
            with contextlib.suppress(SlurmRefusalError):
                self._run(["scancel", *options, *numbers[at : at + _MOST_ARGUMENTS]])

    def _run(self, command: list[str], text: str = "") -> str:
        variables = {name: os.environ[name] for name in _NAMES if name in os.environ}
        conf = self._address.conf or os.environ.get("SLURM_CONF", "")
        variables |= {"SLURM_CONF": conf} if conf else {}
        try:
            done = subprocess.run(
                command, input=text, capture_output=True, text=True, env=variables, check=False, timeout=COMMAND_S
            )
        except subprocess.TimeoutExpired:
            raise SlurmAwayError(f"{command[0]} has not ended after {COMMAND_S:.0f} s") from None
        except OSError as fault:
            raise SlurmAwayError(f"{command[0]} cannot be run: {fault.strerror}") from None
        if done.returncode == 0:
            return done.stdout
        why = slurmtext.tell_error(done.stderr)
        raise SlurmAwayError(why) if slurmtext.is_away(done.stderr) else SlurmRefusalError(why)
