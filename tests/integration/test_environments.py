"""Environments of steps: locked when first used, built once on a machine, part of the key, never half used."""

import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest
from tests.support.speakers import both, plain, speak, stumble
from tests.support.wheels import make_wheel

import mainspring as ms
from mainspring.compute.environments import list_environments, sweep_environments
from mainspring.domain.environments import LockEnvironment
from mainspring.domain.errors import Failed, Invalid
from mainspring.domain.messages import Explain, ListRuns
from mainspring.testing.engines import until
from mainspring.tracking.codecs import load_value

pytestmark = pytest.mark.usefixtures("wheels")


def runs_of(client, kind):
    return client.ask(ListRuns(kind=kind))


def test_a_step_runs_in_its_environment_and_answers_again_from_its_key(client, home):
    word, name, prefix, alone = speak("anna")
    assert (word, name, alone) == ("two", "anna", True)
    (built,) = list_environments(home.environments)
    assert prefix == str(home.environments / built.name)
    assert built.busy
    assert built.used_at
    assert not sweep_environments(home.environments, 0.0)
    (locked,) = runs_of(client, "environment")
    run = runs_of(client, "step")[0]
    assert locked.details["packages"] == {"tinyvoice": "0.1", "tinywords": "2.0"}
    assert run.tags == {"environment": locked.details["lock"][:12]}
    assert run.fingerprint.environment["lock"] == locked.details["lock"][:16]
    assert "numpy" not in run.fingerprint.environment
    text = client.blobs.get(locked.details["lock"]).decode()
    assert text.count("--hash=sha256:") == 2
    assert load_value(ms.Run(locked.id).artifacts["lock"]._find(None).value, client.blobs, client.seal) == text
    assert speak("anna") == [word, name, prefix, alone]
    assert client.ask(ListRuns(kind="step", limit=1))[0].cached_from == run.id

    assert speak.options(env=ms.Env(["tinywords<2"]))("anna")[0] == "one"
    again = client.ask(ListRuns(kind="step", limit=1))[0]
    assert again.cached_from is None
    assert "environment: lock" in str(client.ask(Explain(thing=again.id)))


def test_a_pipelines_environment_is_that_of_its_steps_without_one(client):
    assert ms.run(both, wait=True).result() == ["one", "two"]
    assert both() == ["one", "two"]
    assert {run.cached_from is not None for run in client.ask(ListRuns(kind="step", limit=2))} == {True}
    assert len(runs_of(client, "environment")) == 2


def test_a_failed_step_is_debugged_in_its_environment(client):
    with pytest.raises(Failed, match="two"):
        stumble()
    command = [sys.executable, "-m", "mainspring", "debug", runs_of(client, "step")[0].id]
    done = subprocess.run(command, input="p (word, 1)\nq\n", capture_output=True, text=True, check=False)
    assert "ValueError: two" in done.stderr
    assert "('two', 1)" in done.stdout, done.stdout + done.stderr


def test_variables_are_set_before_the_process_and_are_part_of_the_key(client, monkeypatch):
    monkeypatch.setenv("REGION", "eu")
    told = plain.options(env=ms.Env(variables=["REGION"]))
    assert plain.options(env=ms.Env(variables={"REGION": "asia"}))("REGION") == "asia"
    assert told("REGION") == "eu"
    first = client.ask(ListRuns(kind="step", limit=1))[0]
    monkeypatch.setenv("REGION", "us")
    assert told("REGION") == "us"
    second = client.ask(ListRuns(kind="step", limit=1))[0]
    assert first.key != second.key
    assert "eu" not in str(second.fingerprint)
    assert "environment: $REGION" in second.reason
    assert not runs_of(client, "environment")


def test_what_no_environment_can_be_is_refused_where_it_is_written(monkeypatch):
    for packages in (["-r /etc/passwd"], ["x @ file:///etc"], ["git+https://e.org/x"], ["a\n--pre"], "pandas", [""]):
        with pytest.raises(Invalid, match="ENV-001"):
            ms.Env(packages)
    for variables in ({"MAINSPRING_HOME": "/"}, {"A=B": "1"}, {"KEY": ms.secret("key")}, {"N": 1}, {"N": 0}, "NAME"):
        with pytest.raises(Invalid, match="ENV-005"):
            ms.Env(variables=variables)
    with pytest.raises(Invalid, match="ENV-006"):
        ms.Env(python="newest")
    with pytest.raises(Invalid, match="STEP-008"):
        ms.step(env=["pandas"])(lambda: 1)
    monkeypatch.delenv("ABSENT", raising=False)
    with pytest.raises(Invalid, match="ABSENT has no value here"):
        plain.options(env=ms.Env(variables=["ABSENT"]))("x")
    with pytest.raises(Invalid, match=r"ENV-006: .*3\.9.* is called from"):
        plain.options(env=ms.Env(python="3.9"))("x")


def test_another_python_is_refused_also_where_it_is_installed_and_the_error_names_the_command(tmp_path, monkeypatch):
    python = tmp_path / "bin" / "python3.9"
    python.parent.mkdir()
    monkeypatch.setenv("PATH", str(python.parent))
    wanted = plain.options(env=ms.Env(python="3.9"))
    with pytest.raises(Invalid, match="ENV-006") as caught:
        wanted("x")
    assert caught.value.fix.startswith("uv venv --python 3.9 .venv-3.9, install the project there")
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    with pytest.raises(Invalid, match="ENV-006") as caught:
        wanted.submit("x")
    assert caught.value.fix.startswith(f"{python} -m venv .venv-3.9, install the project there")
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert plain.options(env=ms.Env(python=here, variables={"WORD": "here"}))("WORD") == "here"


def test_one_that_does_not_resolve_is_told_once_in_the_resolvers_words(client):
    wrong = speak.options(env=ms.Env(["tinywords==3.0"]))
    with pytest.raises(Failed, match=r"ENV-002: .*no version of tinywords==3\.0"):
        wrong.map([str(number) for number in range(1000)])
    with pytest.raises(Failed, match="ENV-002"):
        wrong("again")
    (run,) = runs_of(client, "environment")
    assert (run.state, run.problem.code) == ("failed", "ENV-002")
    assert len(run.problem.what) <= 600
    assert not runs_of(client, "step")
    # What Mainspring itself cannot work with is no answer, either.
    with pytest.raises(Failed, match="ENV-002"):
        speak.options(env=ms.Env(["msgspec<0.1"]))("anna")


def test_one_that_cannot_be_built_fails_its_runs_and_is_not_tried_for_each(client, wheels, home):
    client.ask(LockEnvironment(packages=["tinywords==1.0"], python=sys.executable))
    for _ in until():
        (run,) = runs_of(client, "environment")
        if run.state == "succeeded":
            break
    make_wheel(wheels, "tinywords", "1.0", "raise SystemExit('swapped')\n")
    shutil.rmtree(os.environ["UV_CACHE_DIR"])
    futures = speak.options(env=ms.Env(["tinywords==1.0"])).map("abcdef")
    for future in futures:
        with pytest.raises(Failed, match=r"ENV-003: .*(?i:hash)"):
            future.result(60)
    (left,) = list_environments(home.environments)
    assert not left.used_at
    assert [each.name for each in sweep_environments(home.environments, 3600.0)] == [left.name]
    assert not list_environments(home.environments)
    log = next(path for path in home.logs.glob("f-*.log") if "ENV-003" in path.read_text())
    assert log.read_text().count("ENV-003") == 1


LOCK = """
import sys
from mainspring.compute.adapters import uv
from mainspring.compute.environments import list_constraints
sys.stdout.write(uv.lock(["tinywords==2.0"], list_constraints()))
"""

BUILD = """
import os, signal, sys
from pathlib import Path
from mainspring.compute import environments
from mainspring.compute.adapters import uv
build = uv.build
def counted(locked, folder):
    with open(sys.argv[1], "a") as file:
        file.write("built\\n")
    build(locked, folder)
    if sys.argv[3:]:
        os.kill(os.getpid(), signal.SIGKILL)
uv.build = counted
print(environments.open_environment(Path(sys.argv[2]), sys.stdin.read()), flush=True)
"""


def build(lock, log, folder, *words):
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(log), str(folder), *words],
        input=lock,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.strip(), done.stderr


def test_of_many_at_once_one_builds_and_what_a_killed_one_left_is_never_used(tmp_path):
    lock = subprocess.run([sys.executable, "-c", LOCK], capture_output=True, text=True, check=True).stdout
    log, folder = tmp_path / "built", tmp_path / "environments"
    code, _, _ = build(lock, log, folder, "killed")
    assert code == -signal.SIGKILL
    (half,) = list_environments(folder)
    assert (half.used_at, half.busy) == (0.0, False)
    assert (folder / half.name / "bin" / "python").exists()
    log.unlink()

    answers = []
    threads = [threading.Thread(target=lambda: answers.append(build(lock, log, folder))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer[:2] for answer in answers} == {(0, str(folder / half.name / "bin" / "python"))}, answers
    assert log.read_text() == "built\n"
    said = "import tinywords, mainspring, msgspec; print(tinywords.say())"
    python = [answers[0][1], "-I", "-c", said]
    assert subprocess.run(python, capture_output=True, text=True, check=True).stdout == "two\n"

    (whole,) = list_environments(folder)
    assert not whole.busy
    assert whole.size_bytes
    assert not sweep_environments(folder, 3600.0)
    assert sweep_environments(folder, 0.0, dry_run=True)
    assert sweep_environments(folder, 0.0)
    assert not list(folder.iterdir())
