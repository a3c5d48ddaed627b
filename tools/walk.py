"""Walk the first five minutes as a stranger would, with a clock; ``--write`` keeps the transcript as a page.

Nothing is prepared: an empty folder, an empty cache, a wheel of this clone. It needs the network for what the wheel
depends on, and some minutes.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks" / "walk.md"

MODEL = '''"""Will this order be late?          python orders.py"""

from sklearn.linear_model import LogisticRegression

import mainspring as ms


class Order(ms.Contract):
    id: int = ms.Field(key=True)
    weight: float = ms.Field(ge=0)
    late: bool


@ms.step
def ingest() -> ms.Dataset:
    rows = [{"id": number, "weight": number % 7 / 2, "late": number % 7 > 3} for number in range(500)]
    return ms.write(rows, "orders", contract=Order)


@ms.step
def train(orders: ms.Dataset) -> ms.Model:
    features, late = orders.xy("late")
    model = LogisticRegression().fit(features.select("weight"), late)
    return ms.register(model, "lateness", example=features.select("weight"))


@ms.pipeline
def learn() -> ms.Model:
    return train(ingest())


print(learn().reference)
'''

HEAD = """\
<!-- Written by `python tools/walk.py --write`; edit that file instead. -->

# A walk with a clock

A stranger's first five minutes, from an empty folder and an empty cache, done by a script and not retouched. The left
column is the clock, minutes and seconds since the beginning; the times of waiting are the machine's, the time of typing
and reading is not in it.

"""

TARGETS = """
## Against what was aimed at

| aim | seen |
|---|---|
"""


@dataclass
class Walk:
    """The transcript, and the shell that makes it.

    Attributes
    ----------
    folder : Path
        Empty; HOME, too.
    wheel : Path
        What is installed.
    """

    folder: Path
    wheel: Path
    lines: list[str] = field(default_factory=list)
    marks: dict[str, float] = field(default_factory=dict)
    packages: int = 0
    size_mb: float = 0.0

    def __post_init__(self) -> None:
        """Start the clock."""
        self._began = time.monotonic()
        self._here = self.folder
        self._variables = {
            "HOME": str(self.folder),
            "PATH": f"{self.folder / 'venv' / 'bin'}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            **{name: text for name, text in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_"))},
            "PIP_CACHE_DIR": str(self.folder / "cache"),
        }

    def say(self, text: str) -> None:
        """Write what the stranger thinks."""
        self.lines += ["", text, ""]

    def do(self, command: str, mark: str = "", show: int = 12) -> str:
        """Type a command, wait for its end, note the clock and what it printed.

        Raises
        ------
        RuntimeError
            It failed: then the walk is over.
        """
        began = self._clock()
        if command.startswith("cd "):
            self._here = self._here / command[3:]
            text = ""
        else:
            done = subprocess.run(
                ["bash", "-c", command], check=False, cwd=self._here, env=self._variables, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            text = done.stdout
            if done.returncode:
                raise RuntimeError(f"{command} ended with {done.returncode}:\n{text}")
        self._note(began, command, text, show)
        if mark:
            self.marks[mark] = self._clock() - began
        return text

    @contextmanager
    def serve(self, command: str, mark: str, until: str) -> Iterator[str]:
        """Type a command that goes on, and wait for a line of it."""
        began = self._clock()
        out = self.folder / "serve.txt"
        with out.open("w") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self._here, env=self._variables, stdout=file,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            while until not in out.read_text():
                if process.poll() is not None:
                    raise RuntimeError(f"{command} ended:\n{out.read_text()}")
                time.sleep(0.02)
            self.marks[mark] = self._clock() - began
            self._note(began, command, out.read_text(), 12)
            yield out.read_text()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()

    def write(self, name: str, text: str) -> None:
        """Save a file, as from an editor."""
        (self._here / name).write_text(text, "utf-8")
        self.say(f"{self.stamp()} saves `{name}`, {len(text.splitlines())} lines.")

    def _note(self, began: float, command: str, text: str, show: int) -> None:
        shown = [_hide(line, self.folder) for line in text.rstrip().splitlines()]
        hidden = len(shown) - show
        if hidden > 0:
            shown = [*shown[:show], f"... {hidden} more lines"]
        typed = command.replace(str(self.wheel.parent) + "/", "").replace(sys.executable, "python3")
        body = [f"{_write_clock(began)}  $ {typed}", *(f"{'':7}{line}" for line in shown)]
        body.append(f"{self.stamp()}  ({self._clock() - began:.1f} s)")
        self.lines += ["```text", *body, "```"]

    def _clock(self) -> float:
        return time.monotonic() - self._began

    def stamp(self) -> str:
        """Return the clock as it is written."""
        return _write_clock(self._clock())


def measure_mb(folder: Path) -> float:
    """Return what was installed in the environment, in MB, without byte code, pip and setuptools."""
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    files = (path for path in packages.rglob("*") if path.is_file() and path.suffix != ".pyc")
    brought = ("pip", "setuptools", "_distutils_hack", "pkg_resources")
    return (
        sum(path.stat().st_size for path in files if not path.relative_to(packages).parts[0].startswith(brought)) / 1e6
    )


def walk(folder: Path, wheel: Path) -> Walk:
    """Do what a stranger does."""
    it = Walk(folder, wheel)
    it.say("**Install.** One environment, one wheel; nothing else is set up.")
    it.do(f"{sys.executable} -m venv venv")
    it.do(f"pip install --quiet {wheel}", "install")
    it.packages = int(it.do("pip list --format=freeze | grep -vcE '^(pip|setuptools)=='", "", 1))
    it.size_mb = measure_mb(folder)
    it.say("**Begin and run.**")
    it.do("mainspring init hello", "init")
    it.do("cd hello")
    it.do("python hello.py", "first run")
    it.do("python hello.py", "second run")
    it.say("**Edit a line, run again.** The reason stands beside each step.")
    it.do("sed -i 's/seed: int = 7/seed: int = 8/' hello.py")
    it.do("python hello.py", "run after an edit")
    it.do("mainspring runs")
    it.say("**Look from a browser or a program.**")
    with it.serve("mainspring up --port 0", "up", "in a browser") as told:
        address = re.search(r"http://[\d.]+:\d+", told)
        assert address is not None
        token = "$(cat ~/.local/state/mainspring/keys/token)"
        it.do(
            f"curl -s -H \"Authorization: Bearer {token}\" '{address[0]}/api/v1/runs?limit=2&fields=name,state'", "", 4
        )
    it.say("**A model.** It takes the extras for tables, scikit-learn and ONNX.")
    it.do(f"pip install --quiet '{wheel}[data,sklearn]'", "extras")
    it.write("orders.py", MODEL)
    it.do("python orders.py", "train and register")
    it.say("**Deploy and predict.**")
    it.do("mainspring deploy lateness --model lateness@1", "deploy")
    it.do("mainspring services")
    rows = "[{'weight': 0.5}, {'weight': 3.0}]"
    it.do(f"python -c \"import mainspring as ms; print(ms.Service('lateness').predict({rows}))\"", "predict")
    it.do("mainspring why lateness@1")
    it.say("**Leave.** Nothing stays behind but the record.")
    it.do("mainspring services stop lateness")
    it.do("mainspring stop")
    return it


def render(it: Walk) -> str:
    """Return the page."""
    seen = it.marks
    wall = {name: f"{seconds:.1f} s" for name, seconds in seen.items()}
    rows = [
        (
            "`pip install`: at most 15 packages and 40 MB, in 20 s",
            f"{it.packages} packages, {it.size_mb:.0f} MB; {wall['install']}",
        ),
        (
            "`init` and a first run within 2 s",
            f"{wall['init']} and {wall['first run']}, the start of the owner with it",
        ),
        ("edit, run again: reasons for each step, below 0.3 s", f"reasons: yes; {wall['run after an edit']}"),
        ("`up` within 2 s, the runs are there", f"{wall['up']}; as HTTP, there are no pages to look at yet"),
        ("deploy and a prediction", f"{wall['deploy']} and {wall['predict']}, after {wall['extras']} for the extras"),
        ("no YAML, no Docker, no account, no server for the first run", "none"),
        (
            "a demo of drift, renewal and roll-back within five minutes",
            "`make demo QUICK=1`, a minute; not in this walk",
        ),
    ]
    table = "".join(f"| {aim} | {found} |\n" for aim, found in rows)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    foot = (
        f"\n{it.stamp()} minutes in all, {used.ru_utime + used.ru_stime:.0f} s of CPU, most of it pip's. "
        f"Walked {time.strftime('%Y-%m-%d', time.gmtime())} on {os.cpu_count()} cores, {platform.machine()}, "
        f"{platform.system()}, Python {platform.python_version()}; load {os.getloadavg()[0]:.1f} at the end.\n"
    )
    return f"{HEAD}{chr(10).join(it.lines).strip()}\n{TARGETS}{table}{foot}"


def main() -> int:
    """Walk, print the transcript, keep it when asked."""
    parser = argparse.ArgumentParser(prog="python tools/walk.py", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="walk-"))
    try:
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
        subprocess.run(build, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        (folder / "stranger").mkdir()
        page = render(walk(folder / "stranger", next((folder / "dist").glob("*.whl"))))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(page)
    if chosen.write:
        PAGE.write_text(page, "utf-8")
    return 0


def _hide(line: str, folder: Path) -> str:
    """Return a line without what is this machine's alone: its folder, and a code that lets in once."""
    return re.sub(r"code=[\w-]+", "code=...", line.replace(str(folder), "~"))


def _write_clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


if __name__ == "__main__":
    sys.exit(main())
