"""The engine's side of Slurm: a thread that runs its programs and keeps what they have told."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from mainspring.compute import forks
from mainspring.compute.adapters import slurmtext
from mainspring.compute.adapters.slurmbatch import KILL, Batch, list_batches, write_batch
from mainspring.compute.adapters.slurmtext import Address, Job
from mainspring.compute.engine import Cause, Handle, Node, Spec, Status
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
_TIMED_OUT = 124
_TOLD = {75: "it could not reach the owner", _TIMED_OUT: "its time was over"}
_NAMES = ("PATH", "HOME", "USER", "LOGNAME", "LANG")

_log = logging.getLogger(__name__)


class SlurmAwayError(Exception):
    """Slurm is out of order for the moment."""


class SlurmRefusalError(Exception):
    """Slurm will not do it, however often it is asked."""


class Attempt:
    """One that was accepted and not released.

    Attributes
    ----------
    handle : Handle
        Which one.
    spec : Spec or None
        What to submit; None once that is written, or an earlier owner's.
    batch, task : Batch or None, int
        Where it was written.
    job : Job or None
        What Slurm said of it last.
    since : float
        Wall time at which it was accepted.
    missed_at : float or None
        Monotonic time since when its end is to be guessed: Slurm tells of none, or it left no mark.
    code : int or None
        How its job says that it was ended by a signal; whose that was, Slurm has to tell.
    signal, kill_at : int, float or None
        It is to end by that signal, and to be killed at that monotonic time.
    signalled, killed : bool
        What of it has been done.
    status : Status
        As the owner is told.
    """

    def __init__(self, handle: Handle, since: float, spec: Spec | None = None) -> None:
        self.handle = handle
        self.spec = spec
        self.batch: Batch | None = None
        self.task = 0
        self.job: Job | None = None
        self.since = since
        self.missed_at: float | None = None
        self.code: int | None = None
        self.signal = 0
        self.signalled = self.killed = False
        self.kill_at: float | None = None
        self.status = Status(handle.run_id, handle.attempt, "starting", queued=True, detail="on its way to Slurm")

    def change(self, **facts: object) -> None:
        """Set fields of its status; one that has ended stays as it is."""
        if self.status.state != "ended":
            self.status = msgspec.structs.replace(self.status, **facts)

    def end(self, cause: Cause, detail: str, exit_code: int | None = None, number: int | None = None) -> None:
        """Note how it has ended."""
        cause = "cancelled" if self.signal and cause in {"", "lost"} else cause
        self.change(state="ended", cause=cause, detail=detail, exit_code=exit_code, signal=number, queued=False)

    def end_by_code(self, code: int) -> None:
        """Note how it has ended, by what its job has left."""
        if code in _TOLD:
            self.end("timeout" if code == _TIMED_OUT else "lost", _TOLD[code], code)
        elif code > 128:
            self.end("", f"its process ended with {forks.name_signal(code - 128)}", number=code - 128)
        else:
            self.end("", f"its process ended with exit code {code}", code)


class SlurmLink:
    """A thread that submits attempts, asks where they are and ends them.

    Parameters
    ----------
    home : Home
        Whose runs they are.
    root : Path
        Folder of the batches.
    address : Address
        Where in Slurm they go.

    Attributes
    ----------
    searched : bool
        It knows what earlier owners have left.
    nodes : list of Node
        Of the partition; empty while Slurm does not answer.
    limit_s : float or None
        After which the partition ends a job.
    """

    def __init__(self, home: Home, root: Path, address: Address) -> None:
        self._home = home
        self._root = root
        self._address = address
        self.searched = False
        self.nodes: list[Node] = []
        self.limit_s: float | None = None
        self._most_tasks = 1
        self._lock = threading.RLock()
        self._attempts: dict[Handle, Attempt] = {}
        self._batches: dict[str, Batch] = {}
        self._due = dict.fromkeys(("probe", "ask", "send", "end"), 0.0)
        self._away = ""
        self._closing = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"slurm {root.name}", daemon=True)
        self._thread.start()

    # --- called by the engine ------------------------------------------------------------

    def accept(self, spec: Spec) -> None:
        """Have an attempt executed, unless it is held already."""
        handle = Handle(spec.run_id, spec.attempt)
        with self._lock:
            if handle not in self._attempts:
                self._attempts[handle] = Attempt(handle, time.time(), spec)
        self._woken.set()

    def status(self, handle: Handle) -> Status | None:
        """Return where an attempt is; None when it is not held."""
        with self._lock:
            found = self._attempts.get(handle)
            return found.status if found else None

    def list_accepted(self, since: float) -> list[Handle]:
        """Return what was accepted since a wall time and not released."""
        with self._lock:
            return [each.handle for each in self._attempts.values() if each.since >= since]

    def cancel(self, handles: Iterable[Handle], grace_s: float, number: int) -> None:
        """Have attempts signalled, and killed after the grace."""
        kill_at = time.monotonic() + grace_s
        with self._lock:
            for handle in handles:
                found = self._attempts.get(handle)
                if found is not None and found.status.state != "ended":
                    # A second, shorter grace counts; a second signal might interrupt the first clean-up.
                    found.signal = found.signal or number
                    found.kill_at = min(found.kill_at or kill_at, kill_at)
                    self._due["end"] = 0.0
        self._woken.set()

    def forget(self, handles: Iterable[Handle]) -> None:
        """Let ended attempts go; the folder goes with the last of its batch."""
        with self._lock:
            for handle in handles:
                found = self._attempts.pop(handle, None)
                if found is not None and found.batch is not None:
                    batch = found.batch
                    if not any(each.batch is batch for each in self._attempts.values()):
                        self._batches.pop(batch.name, None)
                        batch.remove()

    def want_nodes(self) -> None:
        """Have the nodes asked for again, when that was a while ago."""
        if time.monotonic() >= self._due["probe"]:
            self._woken.set()

    def close(self) -> None:
        """End the thread; what Slurm holds goes on."""
        self._closing = True
        self._woken.set()
        self._thread.join(1.0)

    # --- the thread ----------------------------------------------------------------------

    def _live(self) -> None:
        while not self._closing:
            self._woken.clear()
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - one surprise must not leave all attempts without anybody who looks
                _log.exception("a look at Slurm failed")
                time.sleep(_LOOK_S)
            if not self._closing:
                self._woken.wait(_LOOK_S if self._list_live() else None)

    def _turn(self) -> None:
        if not self.searched:
            self._search()
        if self._is_due("probe", _PROBE_S):
            self._guarded(self._probe)
        if self._list_live():
            self._look()
            if self._is_due("ask", _ASK_S):
                self._guarded(self._ask)
            self._guarded(self._submit)
            self._guarded(self._end)

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
                    self.nodes = []
                for each in self._list_live():
                    if each.status.state == "starting":
                        each.change(detail=self._away, queued=True)

    def _is_due(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._due[what]:
            return False
        self._due[what] = now + every_s
        return True

    def _list_live(self) -> list[Attempt]:
        with self._lock:
            return [each for each in self._attempts.values() if each.status.state != "ended"]

    def _search(self) -> None:
        """Find what earlier owners have left; it counts before what was accepted meanwhile."""
        for batch in list_batches(self._root):
            with self._lock:
                self._batches[batch.name] = batch
                for task, handle in enumerate(batch.handles):
                    found = self._attempts.setdefault(handle, Attempt(handle, batch.since))
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
            self.nodes = nodes
            self.limit_s = slurmtext.read_limit(limits[0]) if limits else None
            self._most_tasks = most_tasks

    def _submit(self) -> None:
        """Submit what was accepted since, in as few calls as there are different wishes."""
        if time.monotonic() < self._due["send"]:
            return
        wishes: dict[tuple[str, ...], list[Attempt]] = {}
        for each in self._list_live():
            if each.spec is not None and each.batch is None:
                if each.kill_at is not None:
                    each.end("cancelled", "cancelled before it was submitted")
                else:
                    wishes.setdefault(slurmtext.make_options(each.spec, self._address), []).append(each)
        for options, attempts in wishes.items():
            for at in range(0, len(attempts), self._most_tasks):
                self._write(attempts[at : at + self._most_tasks], options)

    def _write(self, attempts: list[Attempt], options: Sequence[str]) -> None:
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

    def _look(self) -> None:
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
        self._look()
        unsent: dict[str, list[Attempt]] = {}
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

    def _send_again(self, batch: Batch, attempts: list[Attempt]) -> None:
        tasks = [each.task for each in attempts if each.kill_at is None]
        for each in attempts:
            if each.kill_at is not None:
                each.end("cancelled", "cancelled before it was submitted")
        if tasks:
            self._send(batch, tasks, slurmtext.make_options(batch.read_specs()[tasks[0]], self._address))

    def _note(self, attempt: Attempt, job: Job) -> None:
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

    def _miss(self, attempt: Attempt, detail: str) -> None:
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

    def _cancel(self, options: list[str], attempts: list[Attempt]) -> None:
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
