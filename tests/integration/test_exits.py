"""How commands end: one exit code for each class, and what a closed pipe, a full disk or a bare locale do."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mainspring.cli.main import _run
from mainspring.domain import access
from mainspring.domain.catalogue import ENTRIES
from mainspring.domain.catalogue.entry import EXIT_CODES

COMMAND = [sys.executable, "-m", "mainspring"]


def start(*words, **options):
    environment = {**os.environ, **options.pop("env", {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
    return subprocess.Popen([*COMMAND, *words], env=environment, **pipes)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["why", "RUN-005"], 0),
        (["run", "torn.py"], 1),
        (["statsu"], 2),
        (["runs", "--limit", "x"], 2),
        (["runs", "show", "feed"], 3),
        (["init", "full"], 5),
        (["init", "/proc/new"], 6),
    ],
)
def test_each_class_has_its_exit_code(client, tmp_path, monkeypatch, capfd, words, code):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn.py").write_text("1 / 0")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert _run(words) == code
    errors = capfd.readouterr().err
    assert code == 0 or ENTRIES[errors.rpartition("  why: ")[0].splitlines()[-1].partition(":")[0]].exit_code == code


def test_who_may_not_ends_with_four(client, home, monkeypatch, capfd):
    client.ask(access.AddUser(name="anna", role="viewer"))
    token = client.ask(access.IssueToken(principal="anna")).token
    from tests.support.servers import UpProcess

    process = UpProcess()
    try:
        monkeypatch.setenv("MAINSPRING_URL", process.url)
        monkeypatch.setenv("MAINSPRING_TOKEN", token)
        assert _run(["projects", "add", "rail"]) == 4
    finally:
        process.end()
    assert capfd.readouterr().err.startswith("AUTH-007")


def test_every_error_of_the_catalogue_has_a_documented_exit_code():
    assert {entry.exit_code for entry in ENTRIES.values()} <= set(EXIT_CODES)


def test_ctrl_c_ends_with_130_and_one_word(client, home, tmp_path):
    (tmp_path / "long.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    process = start("run", str(tmp_path / "long.py"))
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b"interrupted\n")


def test_a_closed_pipe_is_quiet_at_any_moment(client):
    for words in (["why", "--list"], ["status"], ["why", "--list", "--json"]):
        process = start(*words)
        process.stdout.close()
        errors = process.stderr.read()
        process.stderr.close()
        assert (process.wait(60), errors) == (0, b"")


def test_a_full_disk_is_one_clear_error(client):
    with Path("/dev/full").open("wb") as full:
        process = start("why", "--list", stdout=full)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 6
    assert errors.startswith(b"CLI-009: standard output: No space left on device\n")


def test_a_locale_without_letters_gets_question_marks_and_json_stays_utf8(client, tmp_path):
    bare = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    (tmp_path / "letters.py").write_text("import mainspring as ms\n@ms.step\ndef łódka(): return 1\nłódka()\n", "utf-8")
    done = start("run", str(tmp_path / "letters.py"), env=bare)
    assert (done.communicate(timeout=60)[1], done.returncode) == (b"", 0)
    listed = start("runs", env=bare)
    text, errors = listed.communicate(timeout=60)
    assert (listed.returncode, errors) == (0, b"")
    assert b"?\xf3dka" in text
    listed = start("runs", "--json", env=bare)
    assert "łódka" in listed.communicate(timeout=60)[0].decode()
    wrong = start("runs", "show", "łódka", env=bare)
    assert wrong.communicate(timeout=60)[1].startswith(b"RUN-001")
    assert wrong.returncode == 3


def test_a_home_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below", "/proc/none"):
        process = start("status", env={"MAINSPRING_HOME": str(place)})
        _, errors = process.communicate(timeout=60)
        assert b"Traceback" not in errors
        assert process.returncode in {4, 6}, errors
        assert str(place).encode() in errors


def test_a_user_without_a_home_of_his_own_is_told(tmp_path):
    place = "/proc/nobody"
    names = {"HOME": place, "XDG_STATE_HOME": "", "MAINSPRING_HOME": "", "XDG_CONFIG_HOME": ""}
    process = start("status", env=names)
    _, errors = process.communicate(timeout=60)
    assert b"Traceback" not in errors
    assert process.returncode in {4, 6}, errors
    assert place.encode() in errors


def test_begun_commands_end_when_they_are_asked_to(client):
    process = start("up", "--port", "0")
    assert process.stdout.readline().startswith(b"Mainspring answers")
    time.sleep(0.1)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode in {-signal.SIGTERM, 0}
