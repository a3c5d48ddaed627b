"""Every command with --json, held against the documented schema of its answer."""

import io
from pathlib import Path

import pytest
from tests.support.shapes import check_shape, load_reference, read_schemas

from mainspring.cli.main import _run, cli
from mainspring.domain.messages import Apply, MoveAlias, PutVersion, RunSpec, SubmitRuns
from mainspring.domain.records import Call
from mainspring.sdk.gates import Gate

HALVES = """
import mainspring as ms

@ms.step
def halve(value: float) -> float:
    ms.log(half=value / 2)
    print("halving")
    return value / 2

@ms.pipeline
def go(value: float = 3.0) -> float:
    return halve(value)

if __name__ == "__main__":
    go()
"""

ELSEWHERE = {
    "mainspring promote": "tests/e2e/test_model_verbs.py",
    "mainspring deploy": "tests/e2e/test_model_verbs.py",
    "mainspring models push": "tests/integration/test_exchange.py",
    "mainspring models pull": "tests/integration/test_exchange.py",
    "mainspring models test": "tests/integration/test_model_proofs.py",
    "mainspring models compare": "tests/integration/test_model_proofs.py",
    "mainspring models predict": "tests/integration/test_predictions.py",
    "mainspring import": "tests/crash/test_mlflow_import.py",
    "mainspring export": "tests/crash/test_mlflow_import.py",
    "mainspring services show": "tests/e2e/test_model_verbs.py",
    "mainspring services rollback": "tests/e2e/test_model_verbs.py",
    "mainspring services stop": "tests/e2e/test_model_verbs.py",
    "mainspring shell": "tests/integration/test_sessions.py",
    "mainspring notebook": "tests/integration/test_sessions.py",
    "mainspring tune": "tests/integration/test_tune_cli.py",
    "mainspring studies": "tests/integration/test_tune_cli.py",
    "mainspring studies show": "tests/integration/test_tune_cli.py",
    "mainspring studies stop": "tests/integration/test_tune_cli.py",
    "mainspring studies resume": "tests/integration/test_tune_cli.py",
    "mainspring simulate": "tests/integration/test_simulate.py",
    "mainspring runs preempt": "tests/integration/test_preemption.py",
    "mainspring plan": "tests/integration/test_planning.py",
    "mainspring top": "tests/integration/test_planning.py",
    "mainspring up": "tests/integration/test_cli.py",
    "mainspring login": "tests/integration/test_login.py",
    "mainspring logout": "tests/integration/test_login.py",
    "mainspring data quarantine": "tests/integration/test_cli.py",
    "mainspring server restore": "tests/integration/test_cli.py",
}
"""Commands that need a service, a server or another home, and the tests that hold their answers to the schema."""


@pytest.fixture
def call(client, tmp_path, monkeypatch, capsys):
    """Run a command in this process, and hold what it prints to the schema of the command that is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINSPRING_PROGRESS", "0")
    monkeypatch.setenv("MAINSPRING_PRIVATE_HOSTS", "127.0.0.1")
    seen = set()

    def run(*words, command, code=0, given=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        capsys.readouterr()
        found = _run([*words, "--json"])
        captured = capsys.readouterr()
        assert found == code, captured.err
        seen.add(f"mainspring {command}")
        texts = captured.out.splitlines() if command == "audit export" or "-f" in words else [captured.out]
        if code not in {0, 5}:
            return check_shape("error", captured.err.splitlines()[-1])
        return [check_shape(f"mainspring {command}", text) for text in texts][-1]

    run.seen = seen
    return run


def test_every_command_prints_what_is_documented(call, client, tmp_path, receive):
    runs_and_files(call, client, tmp_path)
    versions(call, client)
    people(call)
    upkeep(call, tmp_path, receive)
    documented = set(read_schemas()["commands"])
    assert sorted(documented - call.seen - ELSEWHERE.keys()) == [], "a command that no test runs with --json"
    assert not call.seen - documented


def runs_and_files(call, client, tmp_path):
    (tmp_path / "halves.py").write_text(HALVES)
    call("init", "--list", command="init")
    call("init", "first", command="init")
    pipeline, step = call("run", "halves.py", command="run")
    call("apply", "halves.py", command="apply")
    call("apply", "halves.py", "--dry-run", command="apply")
    call("pipelines", command="pipelines")
    for verb in ("show", "start", "pause", "resume", "remove"):
        call("pipelines", verb, "go", command=f"pipelines {verb}")
    call("status", command="status")
    call("runs", command="runs")
    call("runs", "show", step["id"], command="runs show")
    call("runs", "diff", step["id"], pipeline["id"], command="runs diff")
    call("runs", "tag", step["id"][-8:], "color=green", command="runs tag")
    call("logs", step["id"], command="logs")
    call("logs", step["id"], "-f", command="logs")
    call("why", step["id"], command="why")
    call("why", "RUN-005", command="why")
    call("why", "--list", command="why")
    for words in (["name = go", "--limit", "5"], ["--limit", "5", "name = go"], ["--filter", "name = go"]):
        found = call("runs", *words, command="runs")["runs"]
        assert {run["name"] for run in found} == {pipeline["name"]}
    (queued,) = client.ask(SubmitRuns([RunSpec(kind="step", name="big", call=Call(job="none"))]))
    call("runs", "cancel", queued.id, command="runs cancel")
    (again,) = call("runs", "retry", fail(call, tmp_path), command="runs retry")
    call("runs", "cancel", again["id"], command="runs cancel")
    call("runs", "delete", queued.id, "--dry-run", command="runs delete")
    call("runs", "delete", queued.id, command="runs delete")
    call("runs", "--deleted", command="runs")
    call("runs", "restore", queued.id, command="runs restore")
    call("alarms", command="alarms")
    call("services", command="services")
    call("doctor", command="doctor")


def fail(call, tmp_path):
    (tmp_path / "torn.py").write_text(HALVES.replace("return value / 2", "return value / 0"))
    call("run", "torn.py", command="run", code=1)
    (step,) = call("runs", "state = failed and kind = step", command="runs")["runs"]
    return step["id"]


def versions(call, client):
    for noun, kind in (("data", "dataset"), ("models", "model")):
        for digest in ("1" * 64, "2" * 64):
            client.ask(PutVersion(kind=kind, name="trips", digest=digest, manifest={}, details={"rows": 3}))
        client.ask(MoveAlias(kind=kind, name="trips", alias="good", number=2))
        call(noun, command=noun)
        call(noun, "show", "trips@good", command=f"{noun} show")
        call(noun, "delete", "trips@1", command=f"{noun} delete")
        call(noun, "--deleted", command=noun)
        call(noun, "restore", "trips@1", command=f"{noun} restore")
    call("models", "describe", "trips", "where people go", command="models describe")
    call("models", "tag", "trips", "checked=yes", command="models tag")
    client.ask(Apply([Gate("trips", to="best", target="late", better=["auc"]).declaration()]))
    call("gates", command="gates")
    call("gates", "show", "trips", "best", command="gates show")
    call("gates", "remove", "trips", "best", "--reason", "no more", command="gates remove")
    call("models", "rename", "trips", "journeys", command="models rename")


def people(call):
    call("projects", "add", "rail", command="projects add")
    call("projects", command="projects")
    call("projects", "set", "rail", "--keep-runs", "90d", command="projects set")
    call("projects", "remove", "rail", command="projects remove")
    call("users", "add", "anna", "--role", "editor", command="users add")
    token = call("tokens", "add", "anna", command="tokens add")["record"]["id"]
    call("tokens", command="tokens")
    call("tokens", "show", token, command="tokens show")
    call("tokens", "remove", token, command="tokens remove")
    call("users", "password", "anna", command="users password", given="a long enough sentence")
    call("users", command="users")
    call("users", "show", "anna", command="users show")
    call("users", "grant", "anna", "viewer", command="users grant")
    call("users", "revoke", "anna", command="users revoke")
    call("users", "remove", "anna", command="users remove")
    call("secrets", "add", "hook", command="secrets add", given="a long value")
    call("secrets", command="secrets")
    call("secrets", "show", "hook", command="secrets show")
    call("secrets", "rotate", command="secrets rotate")
    call("secrets", "remove", "hook", command="secrets remove")


def upkeep(call, tmp_path, receive):
    call("pools", "add", "lab", "local://lab?cpus=1", command="pools add")
    call("pools", command="pools")
    call("pools", "show", "lab", command="pools show")
    call("nodes", command="nodes")
    call("nodes", "drain", "lab", "--dry-run", command="nodes drain")
    call("nodes", "resume", "lab", command="nodes resume")
    call("pools", "remove", "lab", command="pools remove")
    call("quotas", "set", "air", "--limit", "gpus=2", command="quotas set")
    call("quotas", command="quotas")
    call("quotas", "show", "air", command="quotas show")
    call("quotas", "remove", "air", command="quotas remove")
    add = ("sinks", "add", "ops", "--kind", "webhook", "--url", receive().url)
    call("secrets", "add", "HOOK", command="secrets add", given="a long value")
    call(*add, "--secret", "HOOK", command="sinks add")
    call("sinks", command="sinks")
    call("sinks", "show", "ops", command="sinks show")
    call("sinks", "test", "ops", command="sinks test")
    call("sinks", "resend", "ops", command="sinks resend", code=3)
    call("sinks", "remove", "ops", "--dry-run", command="sinks remove")
    call("sinks", "remove", "ops", command="sinks remove")
    call("audit", command="audit")
    call("audit", "verify", command="audit verify")
    call("audit", "export", command="audit export")
    call("server", "backup", str(tmp_path / "copy"), command="server backup")
    call("server", "upgrade", "--check", command="server upgrade")
    call("server", "collect", "--dry-run", command="server collect")
    call("server", "purge", "--dry-run", command="server purge")
    call("stop", command="stop")


@pytest.mark.parametrize(("command", "path"), ELSEWHERE.items())
def test_what_is_tested_elsewhere_is(command, path):
    root = Path(__file__).resolve().parents[2]
    assert f'check_shape("{command}"' in (root / path).read_text("utf-8")


def test_a_dry_run_answers_as_in_earnest_and_changes_nothing(call, capsys):
    told = call("users", "add", "anna", "--role", "editor", "--dry-run", command="users add")
    assert told[0]["roles"] == {"default": "editor"}
    assert call("users", command="users") == []
    assert _run(["users", "remove", "anna", "--dry-run"]) == 3
    assert _run(["projects", "add", "rail", "--dry-run"]) == 0
    captured = capsys.readouterr()
    assert captured.err.endswith("dry run: nothing was changed\n")
    assert captured.out.splitlines()[1].startswith("rail\t")
    assert len(call("projects", command="projects")) == 1


def test_commands_without_json_say_why():
    without = {each.command: each for each in load_reference().list_answers(cli) if not each.types}
    for command in without:
        help_text = _find(command.split()[1:]).help
        assert "JSON" in help_text, command
    assert set(without) <= {"mainspring debug", "mainspring completion"}


def test_an_error_in_json_is_one_line_with_its_exit_code(client, capfd):
    for words, code in ((["runs", "show", "feed"], 3), (["statsu"], 2), (["runs", "--limit", "x"], 2)):
        assert _run([*words, "--json"]) == code
        captured = capfd.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        assert check_shape("error", line)["error"]["exit_code"] == code


def _find(words):
    command = cli
    for word in words:
        command = command.get_command(None, word)
    return command
