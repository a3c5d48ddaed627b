"""The command line as a person or a script meets it: words in, text and exit code out."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import httpx
import pytest
from tests.support.shapes import check_shape


class Shell:
    """Runs the command in processes of its own, with a home of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.home = folder / "home"

    def __call__(self, *words, check=None, traceback=False):
        environment = {**os.environ, "MAINSPRING_HOME": str(self.home), "NO_COLOR": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "mainspring", *words],
            check=False,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        assert traceback or "Traceback" not in done.stderr, done.stderr
        if check is not None:
            assert done.returncode == check, done.stderr
        return done


@pytest.fixture
def shell(tmp_path):
    shell = Shell(tmp_path)
    yield shell
    if shell.home.exists():
        shell("stop", check=0)


def test_help_names_every_verb_and_leads_with_examples(shell):
    text = shell("--help", check=0).stdout
    assert "mainspring init demo --example flights" in text
    for verb in (
        "init",
        "run",
        "status",
        "runs",
        "logs",
        "why",
        "up",
        "deploy",
        "services",
        "alarms",
        "data",
        "models",
    ):
        assert re.search(rf"^  {verb} +[A-Z]", text, re.MULTILINE), verb


def test_without_a_verb_it_helps(shell):
    assert shell(check=0).stdout == shell("--help", check=0).stdout


def test_help_loads_nothing_heavy(shell):
    code = "import sys; from mainspring.cli.main import _run; _run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    loaded = set(done.stderr.split())
    assert not loaded & {
        "numpy",
        "polars",
        "sqlalchemy",
        "sklearn",
        "starlette",
        "uvicorn",
        "httpx",
        "alembic",
        "asyncio",
    }


def test_a_reader_that_has_seen_enough_is_no_error(shell):
    command = f"{sys.executable} -m mainspring why --list --json | head -1"
    done = subprocess.run(command, shell=True, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[\n"
    assert done.stderr == ""


def test_an_unknown_verb_names_the_nearest(shell):
    done = shell("statsu")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "CLI-001: there is no verb 'statsu'",
        "  why: the verb, option or value is not one that this version knows",
        "  fix: mainspring status",
    ]


def test_an_unknown_option_is_a_usage_error_with_a_hint(shell):
    done = shell("status", "--jsn")
    assert done.returncode == 2
    assert "CLI-001: No such option" in done.stderr
    assert "--json" in done.stderr


def test_codes_are_explained_without_an_owner(shell):
    done = shell("why", "run-005", check=0)
    assert done.stdout.startswith("RUN-005: a lease that was lost\n  why: ")
    assert not shell.home.exists()


def test_an_unknown_code_names_the_nearest(shell):
    done = shell("why", "RUN-0055")
    assert done.returncode == 3
    assert done.stderr.startswith("HOME-009: RUN-0055 is no error code")
    assert "fix: mainspring why RUN-005" in done.stderr


def test_every_code_is_listed(shell):
    from mainspring.domain.catalogue import ENTRIES

    listed = json.loads(shell("why", "--list", "--json", check=0).stdout)
    assert {entry["code"] for entry in listed} == set(ENTRIES)
    assert all(entry["fix"] for entry in listed)


def test_status_starts_the_owner_and_stop_ends_it(shell):
    status = json.loads(shell("status", "--json", check=0).stdout)
    assert status["home"] == str(shell.home)
    os.kill(status["pid"], 0)
    assert shell("stop", check=0).stdout == f"stopped the owner of {shell.home}\n"
    assert shell("stop", check=0).stdout == f"no owner runs for {shell.home}\n"


def test_an_empty_home_says_what_to_type_first(shell):
    done = shell("runs", check=0)
    assert done.stdout == ""
    assert "mainspring init" in done.stderr
    assert json.loads(shell("runs", "--json", check=0).stdout) == {"runs": [], "next": None, "count": 0}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("runs", "show", "feed"), "RUN-001"),
        (("logs", "feed"), "RUN-001"),
        (("data", "show", "nothing"), "DATA-002"),
        (("models", "show", "nothing@champion"), "MODEL-001"),
        (("data", "show", "no name"), "DATA-001"),
    ],
)
def test_what_is_not_there_is_one_clear_error(shell, words, code):
    done = shell(*words)
    assert done.returncode == (2 if code == "DATA-001" else 3)
    assert done.stdout == ""
    first, why, fix = done.stderr.splitlines()
    assert first.startswith(f"{code}: ")
    assert why.startswith("  why: ")
    assert fix.startswith("  fix: ")


def test_errors_are_json_when_asked(shell):
    done = shell("runs", "show", "feed", "--json")
    assert done.returncode == 3
    problem = json.loads(done.stderr)["error"]
    assert problem["code"] == "RUN-001"
    assert problem["fix"] == "mainspring runs"


def test_init_writes_a_project_and_keeps_what_is_there(shell):
    done = shell("init", "first", check=0)
    assert (shell.folder / "first" / "hello.py").is_file()
    assert done.stdout.endswith("next: cd first && python hello.py\n")
    again = shell("init", "first")
    assert again.returncode == 5
    assert again.stderr.startswith("CLI-003: first is there already")
    other = shell("init", "x", "--example", "helo")
    assert other.returncode == 3
    assert "fix: mainspring init --example hello" in other.stderr


def test_init_says_when_the_folder_cannot_be_made(shell):
    done = shell("init", "/proc/new", "--json", check=6)
    assert json.loads(done.stderr)["error"]["code"] == "CLI-008"
    assert "/proc/new cannot be written" in done.stderr


def test_the_examples_are_listed(shell):
    listed = json.loads(shell("init", "--list", "--json", check=0).stdout)
    assert {"hello"} <= {each["name"] for each in listed}
    assert all(each["summary"] for each in listed)


def test_doctor_finds_a_fit_machine_and_an_unfit_home(shell):
    checks = {each["name"]: each for each in json.loads(shell("doctor", "--json", check=0).stdout)}
    assert checks["owner"]["state"] == "ok"
    assert checks["python"]["state"] == "ok"
    assert checks["settings"] == {"name": "settings", "state": "ok", "found": "MAINSPRING_HOME", "fix": ""}
    shell("stop", check=0)
    (shell.folder / "file").write_text("in the way")
    shell.home = shell.folder / "file" / "home"
    done = shell("doctor")
    assert done.returncode == 1
    assert "CLI-007: not fit: home, owner" in done.stderr


def test_tables_are_tab_separated_in_a_pipe(shell):
    lines = shell("init", "--list", check=0).stdout.splitlines()
    assert lines[0] == "example\twhat it shows"
    assert any(line.startswith("hello\t") for line in lines[1:])


HALVES = """
import mainspring as ms

@ms.step
def halve(value: float, parts: int = 2) -> float:
    print("halving", value)
    return value / parts

@ms.pipeline
def go(value: float, parts: int = 2) -> float:
    return halve(value, parts)

if __name__ == "__main__":
    go(3.0)
"""


def test_run_calls_a_function_of_a_file_and_prints_its_result(shell):
    (shell.folder / "halves.py").write_text(HALVES)
    assert shell("run", "halves.py::go", "value=5", check=0).stdout.splitlines() == ["halving 5.0", "2.5"]
    again = shell("run", "halves.py::go", "value=5", check=0)
    assert again.stdout.splitlines() == ["2.5"]
    assert re.search(r"halve +HIT .*nothing changed since run", again.stderr)


def test_run_of_a_file_prints_what_it_recorded_as_json(shell):
    (shell.folder / "halves.py").write_text(HALVES)
    text = shell("run", "halves.py", "--json", check=0).stdout
    runs = json.loads(text)
    assert [(run["kind"], run["name"], run["state"]) for run in runs] == [
        ("pipeline", "go", "succeeded"),
        ("step", "halve", "succeeded"),
    ]
    shown = shell("runs", "show", runs[0]["id"][-6:], check=0).stdout
    assert f"run      {runs[0]['id']}" in shown
    assert re.search(rf"^{runs[1]['id'][-6:]}\tstep\thalve\tsucceeded", shown, re.MULTILINE)
    assert "step halve succeeded" in shell("why", runs[1]["id"], check=0).stdout


def test_json_is_all_that_standard_output_holds(shell):
    (shell.folder / "halves.py").write_text(f"{HALVES}print('this is read')\n")
    done = shell("run", "halves.py::go", "value=7", "--json", check=0)
    assert [run["name"] for run in json.loads(done.stdout)] == ["go", "halve"]
    assert "this is read" in done.stderr
    assert "halving 7" in done.stderr
    assert json.loads(shell("apply", "halves.py", "--json", check=0).stdout)["changes"]


def test_a_file_reads_its_own_arguments(shell):
    (shell.folder / "told.py").write_text("import sys\nprint(sys.argv)\n")
    assert shell("run", "told.py", check=0).stdout == "['told.py']\n"


@pytest.mark.parametrize("words", [("run", "torn.py::go"), ("run", "torn.py"), ("apply", "torn.py")])
def test_a_file_that_cannot_be_imported_shows_its_own_line(shell, words):
    (shell.folder / "torn.py").write_text("import no_such_module\n")
    done = shell(*words, traceback=True)
    assert done.returncode == 1
    assert re.search(r"CLI-006: torn.py\S* raised ModuleNotFoundError: No module named 'no_such_module'", done.stderr)
    assert done.stderr.count("  File ") == 1


def test_code_that_raises_shows_its_own_lines_and_ends_with_a_code(shell):
    (shell.folder / "halves.py").write_text(HALVES)
    done = shell("run", "halves.py::go", "value=5.0", "parts=0", traceback=True)
    assert done.returncode == 1
    assert "CLI-006: halves.py::go raised ZeroDivisionError: float division by zero" in done.stderr
    assert "return value / parts" in done.stderr
    assert "site-packages" not in done.stderr
    assert "sdk/" not in done.stderr
    assert "ZeroDivisionError" in shell("runs", "state = failed", check=0).stdout


def test_logs_print_what_a_worker_printed(shell):
    text = HALVES.replace("return halve(value, parts)", "return halve.submit(value, parts).result()")
    (shell.folder / "halves.py").write_text(text)
    assert shell("run", "halves.py::go", "value=5", check=0).stdout == "2.5\n"
    run = json.loads(shell("runs", "kind = step", "--json", check=0).stdout)["runs"][0]
    assert shell("logs", run["id"][-8:], check=0).stdout == "halving 5.0\n"
    assert shell("logs", run["id"], "-f", check=0).stdout == "halving 5.0\n"
    assert json.loads(shell("logs", run["id"], "--json", check=0).stdout)["text"] == "halving 5.0\n"


def test_apply_hands_over_what_a_file_declares_once(shell):
    (shell.folder / "halves.py").write_text(HALVES)
    new, same = "+ pipeline go  (needs editor)", "= pipeline go"
    assert shell("apply", "halves.py", "--dry-run", check=0).stdout.splitlines()[0] == new
    assert shell("apply", "halves.py", check=0).stdout.splitlines()[0] == new
    assert shell("apply", "halves.py", check=0).stdout.splitlines() == [same]
    (shell.folder / "plain.py").write_text("x = 1")
    done = shell("apply", "plain.py")
    assert done.returncode == 3
    assert done.stderr.startswith("CLI-002: plain.py declares nothing that can be applied")


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (("halve.py",), "CLI-002: there is no file halve.py", "mainspring run halves.py"),
        (("halves.py::og",), "CLI-002: halves.py has no function 'og'", "mainspring run halves.py"),
        (("halves.py::go", "valu=3"), "CLI-001: go takes other arguments", "mainspring run --help"),
        (("halves.py::go", "3"), "CLI-001: '3' is not NAME=VALUE", "mainspring run --help"),
        (("halves.py", "value=3"), "CLI-001: halves.py takes no arguments", "mainspring run --help"),
    ],
)
def test_a_target_that_cannot_be_run_names_what_can(shell, words, code, hint):
    (shell.folder / "halves.py").write_text(HALVES)
    done = shell("run", *words)
    assert done.returncode in {2, 3}
    assert done.stderr.startswith(code)
    assert f"fix: {hint}" in done.stderr


def test_datasets_are_shown_with_what_broke_their_contract(shell):
    script = """
import polars as pl, mainspring as ms
class Trip(ms.Contract):
    trip: str = ms.Field(key=True)
    miles: float = ms.Field(ge=50)
ms.write(pl.DataFrame({"trip": ["a", "b", "c"], "miles": [100.0, 20.0, 70.0]}), "trips", contract=Trip)
"""
    environment = {**os.environ, "MAINSPRING_HOME": str(shell.home)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=60)
    rows = [line.split("\t") for line in shell("data", check=0).stdout.splitlines()]
    assert rows[0][:3] == ["dataset", "rows", "quarantined"]
    assert sorted(row[0] for row in rows[1:]) == ["trips.quarantine@1", "trips@1"]
    shown = shell("data", "show", "trips", check=0).stdout
    assert "miles ge 50: 1" in shown
    assert "miles\tFloat64\tge 50\t0\t70\t100" in shown
    quarantined = check_shape("mainspring data quarantine", shell("data", "quarantine", "trips", "--json").stdout)
    assert quarantined["reasons"] == {"miles ge 50": 1}
    assert quarantined["last"][0]["trip"] == "b"


def test_up_answers_who_holds_the_token_until_it_is_interrupted(shell):
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "mainspring", "up", "--port", "0", "--json"],
        env={**os.environ, "MAINSPRING_HOME": str(shell.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        told = "".join(iter(process.stdout.readline, "}\n")) + "}"
        address = check_shape("mainspring up", told)
        url, token = address["url"], Path(address["token_file"]).read_text()
        assert httpx.get(f"{url}/health").json() == {"status": "ok"}
        assert httpx.get(f"{url}/api/v1/status").status_code == 401
        status = httpx.get(f"{url}/api/v1/status", headers={"Authorization": f"Bearer {token}"})
        assert status.json()["home"] == str(shell.home)
        port = url.rpartition(":")[2]
        taken = shell("up", "--port", port)
        assert taken.returncode == 6
        assert taken.stderr.startswith(f"CLI-005: port {port} cannot be had")
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors
    assert process.returncode in {0, 130}


def test_a_terminal_gets_columns_cut_to_its_width(shell):
    text = run_on_terminal(shell, "why", "--list", columns=60)
    heading, *lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line]
    assert heading.split() == ["CODE", "KIND", "TITLE"]
    assert all(len(line) <= 60 for line in lines)
    assert ["RUN-005", "conflict"] in [line.split()[:2] for line in lines]


def run_on_terminal(shell, *words, columns):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "mainspring", *words],
        env={**environment, "MAINSPRING_HOME": str(shell.home)},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    content = b""
    try:
        while piece := os.read(master, 65536):
            content += piece
    except OSError:  # Linux tells the end of a terminal so
        pass
    os.close(master)
    assert process.wait(30) == 0
    return content.decode()


def test_a_home_is_backed_up_while_its_owner_runs_and_restored_elsewhere(shell, tmp_path):
    shell("status", check=0)
    told = json.loads(shell("server", "backup", str(tmp_path / "copy"), "--json", check=0).stdout)
    assert told["manifest"]["whole"] is False
    assert json.loads(shell("server", "purge", "--dry-run", "--json", check=0).stdout) == []
    assert "MODEL-001" in shell("models", "delete", "none@1", check=3).stderr
    assert "KEEP-001" in shell("models", "restore", "none", check=2).stderr
    assert json.loads(shell("server", "collect", "--dry-run", "--json", check=0).stdout)["removed"]["blobs"] == 0
    assert shell("server", "collect", check=0).stdout.startswith("blobs")
    assert "RUN-003" in shell("server", "collect", "--grace", "1min", check=2).stderr
    assert shell("server", "upgrade", "--check", check=0).stdout.startswith("record")
    assert "SERVER-003" in shell("server", "restore", str(tmp_path / "copy"), check=5).stderr
    other = Shell(tmp_path)
    other.home = tmp_path / "other"
    text = other("server", "restore", str(tmp_path / "copy"), "--json", check=0).stdout
    restored = check_shape("mainspring server restore", text)
    assert restored["record_id"] == told["manifest"]["record_id"]
    assert other("server", "upgrade", "--check", "--json", check=0)
