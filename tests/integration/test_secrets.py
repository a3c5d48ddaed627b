"""Secrets by reference, through a real owner and real workers: a canary that must stay where it is."""

import subprocess
import sys

import msgspec
import pytest

import mainspring as ms
from mainspring.domain import access, messages
from mainspring.domain.errors import Denied, Failed, MainspringError, NotFound
from mainspring.domain.rehearsals import Rehearse
from mainspring.domain.wire import encode_command
from mainspring.security.masks import hide

CANARY = "canary-7f3a9b-value"

CODE = """
import os, subprocess, sys
import mainspring as ms

@ms.step(cpus=1)
def use(password: object, how: str):
    value = password.value()
    if how == "print":
        print("the password is", value, password)
        sys.stderr.write(f"and again {value}\\n")
        subprocess.run(["echo", f"from a child {value}"], check=True)
        os.write(1, f"raw {value}\\n".encode())
        return len(value)
    if how == "log":
        ms.log_params(password=value)
        ms.log(note=len(value))
        return len(value)
    if how == "raise":
        raise ValueError(f"cannot sign in with {value}")
    return {"password": value}
"""


@pytest.fixture
def use(client, tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "using.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    client.ask(access.AddSecret(name="database", value=CANARY))
    import importlib

    module = importlib.import_module("using")
    yield module.use
    del sys.modules["using"]


def list_leaks(home, canary=CANARY):
    """Return the files of a home that hold the canary; the journal of SQLite is folded in."""
    return [str(path) for path in home.root.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]


@pytest.mark.parametrize("how", ["print", "log"])
def test_a_worker_uses_a_secret_and_nothing_shows_it(use, client, home, how):
    future = use.submit(ms.secret("database"), how)
    assert future.result() == len(CANARY)
    run = client.ask(messages.ListRuns(kind="step"))[0]
    logs = client.ask(messages.GetLogs(run_id=run.id)).text
    assert CANARY not in logs
    if how == "print":
        assert "the password is *** secret('database')" in logs
        assert f"from a child {'*' * len(CANARY)}" in logs
        assert f"raw {'*' * len(CANARY)}" in logs
    else:
        assert run.params["password"] == "***"
    assert list_leaks(home) == []
    acts = [entry for entry in client.ask(access.ListAudit()) if entry.action == "secrets.use"]
    assert [(act.subject, run.id in act.body) for act in acts] == [("database", True)]


def test_an_error_that_holds_a_secret_is_masked(use, client, home):
    with pytest.raises(Failed) as caught:
        use.submit(ms.secret("database"), "raise").result()
    assert CANARY not in str(caught.value)
    assert "cannot sign in with ***" in caught.value.what
    run = client.ask(messages.ListRuns(kind="step"))[0]
    assert CANARY not in repr(run)
    assert list_leaks(home) == []


def test_a_result_that_holds_a_secret_is_refused(use, client, home):
    with pytest.raises(MainspringError) as caught:
        use.submit(ms.secret("database"), "return").result()
    assert caught.value.code == "SECRET-005"
    assert list_leaks(home) == []


def test_no_answer_and_no_repr_shows_a_value(use, client):
    told = [
        client.ask(access.ListSecrets()),
        client.ask(access.GetSecret(name="database")),
        client.ask(access.ListAudit()),
        client.ask(messages.ListEvents()),
        access.AddSecret(name="x", value=CANARY),
        access.SecretValue(CANARY),
        ms.secret("database"),
    ]
    assert CANARY not in repr(told)


def test_a_secret_exists_in_a_run_only(client, home):
    client.ask(access.AddSecret(name="database", value=CANARY))
    with pytest.raises(Denied, match="SECRET-002"):
        ms.secret("database").value()
    run = client.ask(messages.BeginRun(kind="step", name="fit")).run
    with pytest.raises(Denied, match="SECRET-002"):
        client.ask(access.UseSecret(name="database", run_id=run.id, attempt=2, fence=run.fence))
    client.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=run.fence, state="failed"))
    with pytest.raises(Denied, match="SECRET-002"):
        client.ask(access.UseSecret(name="database", run_id=run.id, attempt=1, fence=run.fence))


def test_a_script_masks_what_it_records(home, client):
    client.ask(access.AddSecret(name="database", value=CANARY))
    script = (
        "import mainspring as ms\n"
        "@ms.step\ndef use(password):\n    value = password.value()\n    raise ValueError('no ' + value)\n"
        "try:\n    use(ms.secret('database'))\nexcept ValueError:\n    pass\n"
    )
    path = home.root.parent / "script.py"
    path.write_text(script)
    subprocess.run([sys.executable, str(path)], check=True, timeout=60)
    run = client.ask(messages.ListRuns(kind="step"))[0]
    assert run.problem.what.endswith("no ***")
    assert list_leaks(home) == []


def test_what_a_change_would_do_is_told_while_values_are_hidden(client):
    hide(CANARY)
    told = client.ask(Rehearse(command=encode_command(access.AddProject(name="air"))))
    assert msgspec.msgpack.decode(told.body)["name"] == "air"
    assert [project.name for project in client.ask(access.ListProjects())] == ["default"]


def test_a_missing_secret_is_named(client):
    with pytest.raises(NotFound, match="SECRET-001"):
        client.ask(access.GetSecret(name="nothing"))
