"""A home and a project folder in which blocks are run like a reader's."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.docs.stage.blocks import split_console
from tests.docs.stage.expectation import find_missing

FOLDER = Path(__file__).parent
_CURL = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[-1]).read().decode())"
SERVES = re.compile(r"mainspring up\b|mainspring logs .* -f")
"""Commands that do not end: left running until the page is over."""

FRESH = ("README", "first-five-minutes")
"""Pages whose reader has nothing yet."""

_REMEMBER = """\
[ -f {state} ] && . {state}
{command}
code=$?
{{ export -p; echo "cd '$PWD'"; }} > {state}
exit $code"""
"""A command whose folder and variables the next one finds as it left them."""


class Project:
    def __init__(self, folder):
        self.folder = folder / "flights"
        self.folder.mkdir(parents=True)
        programs = folder / "bin"
        programs.mkdir()
        own = f'exec "{sys.executable}"'
        # Installing is what tests/e2e/test_packaging.py does.
        typed = {"python": own, "mainspring": f"{own} -m mainspring", "pip": "exit 0;"}
        if shutil.which("curl") is None:
            typed["curl"] = f"{own} -c '{_CURL}'"
        for name, words in typed.items():
            script = programs / name
            script.write_text(f'#!/bin/sh\n{words} "$@"\n')
            script.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAINSPRING_")}
        self.variables = {
            **kept,
            "HOME": str(folder),
            "MAINSPRING_HOME": str(folder / "home"),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(Path(each).resolve()) for each in sys.path if each]),
            "PYTHONWARNINGS": "ignore",
            "OMP_NUM_THREADS": "1",  # threads that wait for each other on a busy machine take minutes
        }
        self._background = []
        self._cwd = self.folder
        self._state = folder / "shell.sh"
        self._places = {}

    def shell(self, command, timeout_s=600):
        """Run a command as a reader would and return its exit code and all that it printed."""
        done = subprocess.run(
            ["bash", "-c", _REMEMBER.format(command=command, state=self._state)], check=False, cwd=self._cwd,
            env=self.variables, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=timeout_s,
        )  # fmt: skip
        return done.returncode, done.stdout

    def ask(self, command):
        code, text = self.shell(f"mainspring {command} --json 2>/dev/null")
        assert code == 0, f"{command}: {text}"
        return json.loads(text)

    def run_page(self, blocks, prelude):
        """Run the blocks of a page in order and return what went wrong, by place."""
        faults = []
        self._begin_page(blocks)
        try:
            for block in blocks:
                if not block.excuse and block.kind in ("python", "console"):
                    try:
                        faults += getattr(self, f"_run_{block.kind}")(block, prelude)
                    except (AssertionError, LookupError, TypeError, subprocess.TimeoutExpired) as fault:
                        faults.append(f"{block.place}: {fault!r}")
        finally:
            self._end_background()
            if blocks and blocks[0].page.stem in FRESH:
                self.shell("mainspring stop")
        return faults

    def _begin_page(self, blocks):
        """Pages of a newcomer begin in an empty folder, the others in the project."""
        self._state.unlink(missing_ok=True)
        self._places.clear()
        self._cwd = self.folder
        self.variables["MAINSPRING_HOME"] = str(self.folder.parent / "home")
        if blocks and blocks[0].page.stem in FRESH:
            self._cwd = self.folder.parent / f"empty-{blocks[0].page.stem}"
            self._cwd.mkdir(exist_ok=True)
            self.variables["MAINSPRING_HOME"] = str(self._cwd / "home")

    def _run_python(self, block, prelude):
        file = self._cwd / f"{block.page.stem.replace('-', '_')}_{block.line}.py"
        file.write_text(prelude + self._place(block.body))
        code, text = self.shell(f"python {file}")
        return [] if code == 0 else [f"{block.place}: ended with {code}\n{text[-1500:]}"]

    def _run_console(self, block, prelude):
        faults = []
        for command, expected in split_console(block.body):
            placed = self._place(command)
            if SERVES.search(placed):
                code, text = self._serve(placed, expected)
            else:
                code, text = self.shell(placed)
            missing = find_missing(expected, text)
            if missing is not None:
                faults.append(f"{block.place}: `{placed}` did not print {missing!r} but\n{text[-1500:]}")
            elif code not in (0, 5) or (code == 5 and not expected):
                faults.append(f"{block.place}: `{placed}` ended with {code}\n{text[-1500:]}")
        return faults

    def _serve(self, command, expected):
        out = self.folder / f"serve-{len(self._background)}.txt"
        with out.open("w") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self._cwd, env=self.variables, stdin=subprocess.DEVNULL,
                stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._background.append(process)
        deadline = time.monotonic() + 60
        while find_missing(expected, out.read_text()) is not None and process.poll() is None:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return process.poll() or 0, out.read_text()

    def _end_background(self):
        while self._background:
            process = self._background.pop()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _place(self, text):
        """Put the ids of this home where the pages have those of the author's."""
        for word, find in PLACES.items():
            if re.search(rf"\b{word}\b", text):
                if word not in self._places:
                    self._places[word] = find(self)
                text = re.sub(rf"\b{word}\b", self._places[word], text)
        return text

    def close(self):
        self.shell("mainspring services stop delays; mainspring stop")
        shutil.rmtree(self.folder, ignore_errors=True)


def _find_run(query):
    return lambda project: project.ask(f"runs {query} --limit 1")["runs"][0]["id"]


PLACES = {
    "b7b6c8": _find_run("'name = square'"),
    "e45d52": _find_run("'kind = pipeline'"),
    "c07e12": _find_run("'name = divide and state = failed'"),
    "a3f19b": _find_run("'name = train and state = succeeded'"),
    "07f0c2": _find_run("'kind = study'"),
    "37223": lambda project: project.ask("services")[0]["url"].rpartition(":")[2],
    "0f3c5b6a7d8e9f01": lambda project: project.ask("tokens")[0]["id"],
    "8430": lambda project: "0",
}
"""What the pages write -> what it is here."""
