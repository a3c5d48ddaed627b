"""The folder of attempts that were submitted together: what their jobs read, and leave when they end."""

from __future__ import annotations

import base64
import contextlib
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from mainspring.compute import forks
from mainspring.compute.attempts import write_attempt
from mainspring.compute.engine import Handle, Spec
from mainspring.domain.home import Home

PREFIX = "mainspring-"

_WORKER = "mainspring.worker.once"
_NAMES = frozenset({"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH"})
_PREFIXES = ("LC_", "MAINSPRING_", "AWS_", "AZURE_", "GOOGLE_", "SSL_", "UV_")
_PROXIES = frozenset({"http_proxy", "https_proxy", "no_proxy"})

KILL = signal.SIGURG
"""By which a job is told to kill its worker: Slurm itself turns SIGKILL into a cancel with a grace of its own."""

# A task begins once, whoever submitted it and how often: making a folder is atomic on any file system. The worker is a
# session of its own, so that the shell can signal it, kill all of it, and tell how it has ended, whatever the site
# tracks processes by. A wait that a signal interrupts has told nothing yet; one after the end says 127.
_SCRIPT = r"""#!/bin/bash
cd / || exit 70
umask 077
task=$SLURM_ARRAY_TASK_ID
folder=FOLDER
mkdir "$folder/begun-$task" || exit 0
worker= early=
for name in HUP INT QUIT USR1 USR2 ALRM TERM; do
    trap "kill -s $name \"\$worker\" 2>/dev/null || early=$name" $name
done
trap 'end_session' KILLER
end_session() {
    kill -s KILL -- "-$worker" 2>/dev/null
    pkill -KILL -s "$worker"
}
. "$folder/variables"
IFS=$'\t' read -r log python attempt < <(tail -n "+$((task + 1))" "$folder/attempts")
export MAINSPRING_ATTEMPT=$attempt
setsid "$python" -P -m WORKER >>"$log" 2>&1 </dev/null &
worker=$!
[ -z "$early" ] || kill -s "$early" "$worker"
while :; do
    wait "$worker"
    code=$?
    kill -s 0 "$worker" 2>/dev/null || break
done
wait "$worker" 2>/dev/null
told=$?
[ "$told" = 127 ] || code=$told
end_session
echo "$code" >"$folder/.end-$task" && mv "$folder/.end-$task" "$folder/end-$task"
exit "$code"
"""


class Batch:
    """Attempts that are, or were, tasks of one array.

    Attributes
    ----------
    folder : Path
        Where their jobs read and write; whoever may read it may speak for the attempts.
    name : str
        Of the job: the first attempt's run and number.
    handles : list of Handle
        The attempt of each task.
    """

    def __init__(self, folder: Path, handles: Sequence[Handle]) -> None:
        self.folder = folder
        self.name = folder.name
        self.handles = list(handles)

    @property
    def script(self) -> str:
        """What ``sbatch`` reads; nothing in it is secret."""
        text = _SCRIPT.replace("KILLER", str(int(KILL))).replace("WORKER", _WORKER)
        return text.replace("FOLDER", shlex.quote(str(self.folder)))

    @property
    def submitted(self) -> bool:
        """Slurm has taken it."""
        return (self.folder / "submitted").exists()

    @property
    def since(self) -> float:
        """Wall time at which it was made."""
        return self.folder.stat().st_mtime

    def read_specs(self) -> list[Spec]:
        """Read its attempts, as they were written."""
        lines = (self.folder / "attempts").read_text().splitlines()
        return [msgspec.msgpack.decode(base64.b64decode(line.rpartition("\t")[2]), type=Spec) for line in lines]

    def note_submitted(self) -> None:
        """Keep that Slurm has taken it."""
        (self.folder / "submitted").touch()

    def read_marks(self) -> tuple[set[int], dict[int, int]]:
        """Return the tasks that have begun, and the exit codes of those that have ended."""
        begun, codes = set(), {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                kind, _, task = entry.name.partition("-")
                if kind == "begun" and task.isdecimal():
                    begun.add(int(task))
                elif kind == "end" and task.isdecimal():
                    text = Path(entry.path).read_text().strip()
                    # A file system of many machines may show the name before the text.
                    if text.isdecimal():
                        codes[int(task)] = int(text)
        return begun, codes

    def read_words(self, task: int) -> str:
        """Return the last line that Slurm itself has written about a task."""
        try:
            lines = (self.folder / f"slurm-{task}.out").read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1][-200:] if lines else ""

    def remove(self) -> None:
        """Forget it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def write_batch(home: Home, root: Path, specs: Sequence[Spec]) -> Batch:
    """Write what the jobs of attempts will read, under names that only this user can read.

    What an earlier owner has written for the same attempts stays: its jobs may run.
    """
    folder = root / f"{PREFIX}{specs[0].run_id}-{specs[0].attempt}"
    handles = [Handle(spec.run_id, spec.attempt) for spec in specs]
    making = folder.with_name(f".{folder.name}")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700, parents=True)
    lines = []
    for spec in specs:
        log = forks.log_path(home, spec.run_id, spec.attempt)
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = write_attempt(spec)
        lines.append(f"{log}\t{spec.python or sys.executable}\t{content}\n")
    _write(making / "attempts", "".join(lines))
    exports = [f"export {name}={shlex.quote(value)}\n" for name, value in choose_variables(os.environ, home).items()]
    _write(making / "variables", "".join(exports))
    making.rename(folder)
    return Batch(folder, handles)


def list_batches(root: Path) -> list[Batch]:
    """Return what this and earlier owners have written, and not yet removed."""
    found = []
    for folder in sorted(root.glob(f"{PREFIX}*")):
        with contextlib.suppress(OSError, ValueError, msgspec.MsgspecError):
            batch = Batch(folder, [])
            batch.handles += [Handle(spec.run_id, spec.attempt) for spec in batch.read_specs()]
            found.append(batch)
    return found


def choose_variables(given: Mapping[str, str], home: Home) -> dict[str, str]:
    """Return those variables of the owner that a job on another machine is to have.

    Examples
    --------
    >>> home = Home(Path("/h"), Path("/h"), Path("/h"))
    >>> choose_variables({"PATH": "/bin", "DISPLAY": ":0", "MAINSPRING_HOME": "/old"}, home)
    {'PATH': '/bin', 'MAINSPRING_HOME': '/h'}
    """
    chosen = {
        name: value
        for name, value in given.items()
        if name in _NAMES or name.startswith(_PREFIXES) or name.lower() in _PROXIES
    }
    return chosen | {"MAINSPRING_HOME": str(home.root)}


def _write(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - a mode is given
        file.write(text)
