"""Where runs come from: Git, environment and command, stored once, masked, and compared."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

import mainspring as ms
from mainspring.cli.main import cli
from mainspring.domain.messages import ListRuns
from mainspring.domain.tracking import GetProvenance, Git
from mainspring.security.likely import mask_command, mask_likely
from mainspring.tracking.git import read_git

SCRIPT = """\
import sys
import mainspring as ms


@ms.step
def double(x):
    return 2 * x


with ms.start_run("fit", params={"rate": float(sys.argv[1])}):
    ms.log(loss=float(sys.argv[1]))
    double(1)
"""


def git(folder, *words):
    facts = ("-c", "user.name=anna", "-c", "user.email=anna@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *facts, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path):
    """A work tree with one commit."""
    folder = tmp_path / "tree"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "fit.py").write_text(SCRIPT)
    (folder / "id_rsa").write_text("old\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    git(folder, "remote", "add", "origin", "https://anna:hunter22@git.example.org/air.git")
    return folder


def launch(folder, *words):
    done = subprocess.run(
        [sys.executable, "fit.py", *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_each_run_knows_its_commit_command_and_environment(client, tree):
    launch(tree, "0.1", "--api-key", "do-not-show", "--token=do-not-show")
    (tree / "fit.py").write_text(SCRIPT + "\npassword = 'do-not-show'\n")
    (tree / "id_rsa").write_text("do-not-show\n")
    (tree / "new.txt").write_text("x")
    launch(tree, "0.2")
    second, first = client.ask(ListRuns(kind="script"))
    clean, dirty = (client.ask(GetProvenance(run_id=run.id)) for run in (first, second))
    head = git(tree, "rev-parse", "HEAD")
    assert clean.git == Git(head, "trunk", "https://anna:***@git.example.org/air.git", dirty=False)
    assert (dirty.git.commit, dirty.git.dirty, dirty.git.untracked) == (head, True, ["new.txt"])
    assert "+password = '***'" in dirty.git.diff
    assert "do-not-show" not in json.dumps([dirty.git.diff, clean.command])
    assert clean.command[-4:] == ["0.1", "--api-key", "***", "--token=***"]
    assert clean.folder == str(tree)
    assert clean.environment == dirty.environment
    assert clean.environment.packages["polars"]
    steps = client.ask(ListRuns(kind="step"))
    assert [step.provenance for step in steps] == [second.provenance, first.provenance]


def test_two_runs_are_compared(client, tree):
    launch(tree, "0.1")
    (tree / "fit.py").write_text(SCRIPT + "\n# more\n")
    launch(tree, "0.2")
    second, first = client.ask(ListRuns(kind="script"))
    shown = CliRunner().invoke(cli, ["runs", "diff", first.id, second.id[-8:], "--json"])
    assert shown.exit_code == 0, shown.output
    changes = json.loads(shown.stdout)["changes"]
    assert changes["params"] == [["rate", 0.1, 0.2]]
    assert changes["metrics"] == [["loss", 0.1, 0.2]]
    assert {name: after for name, _, after in changes["git"]}["dirty"] is True
    assert "environment" not in changes
    table = CliRunner().invoke(cli, ["runs", "diff", first.id, second.id]).stdout
    assert "params\trate\t0.1\t0.2" in table
    same = CliRunner().invoke(cli, ["runs", "diff", first.id, first.id])
    assert (same.exit_code, same.stdout) == (0, "")
    found = CliRunner().invoke(cli, ["runs", "show", second.id]).stdout
    assert f"{git(tree, 'rev-parse', 'HEAD')[:12]} on trunk, changed" in found


def test_data_versions_and_code_are_compared(client):
    ms.write([{"a": 1}], "rows")
    ms.write([{"a": 2}], "rows")

    @ms.step
    def read(number, scale):
        return scale * ms.Dataset(f"rows@{number}").polars()["a"].sum()

    read(1, 1)
    read(2, 1)
    second, first = client.ask(ListRuns(kind="step"))
    changes = json.loads(CliRunner().invoke(cli, ["runs", "diff", first.id, second.id, "--json"]).stdout)["changes"]
    assert changes["data"] == [["rows", "rows@1", "rows@2"]]
    assert changes["inputs"] == [["number", "=1", "=2"]]


def test_environments_are_stored_once_and_it_can_be_kept_back(client, monkeypatch):
    import sqlite3

    for name in ("a", "b"):
        with ms.start_run(name) as run:
            pass
    assert run.record.provenance
    with sqlite3.connect(client.home.metadata) as record:
        bodies = [json.loads(body) for (body,) in record.execute("SELECT body FROM provenances")]
    assert sum("packages" in body for body in bodies) == 1
    monkeypatch.setenv("MAINSPRING_PROVENANCE", "0")
    with ms.start_run("c") as run:
        pass
    assert run.record.provenance is None
    assert client.ask(GetProvenance(run_id=run.id)) is None


def test_work_trees_without_commits_too_slow_and_none(tmp_path):
    assert read_git(tmp_path) is None
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "a.txt").write_text("a")
    assert read_git(tmp_path) == Git("", "trunk", "", dirty=False, untracked=["a.txt"])
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    assert read_git(tmp_path, patience_s=0.0) == Git(git(tmp_path, "rev-parse", "HEAD"))
    (tmp_path / "a.txt").write_text("b\n" * 300_000)
    found = read_git(tmp_path)
    assert found.dirty
    assert len(found.diff) < 201_000
    assert found.diff.endswith("characters in all")


@pytest.mark.parametrize(
    "text",
    [
        'AWS_SECRET_ACCESS_KEY="wJalrXUtnFEMI"',
        "  'db_password': 'wJalrXUtnFEMI',",
        "Authorization: Bearer wJalrXUtnFEMI",
        "postgresql://anna:wJalrXUtnFEMI@db/x",
        "-----BEGIN RSA PRIVATE KEY-----\nwJalrXUtnFEMI\n-----END RSA PRIVATE KEY-----",
        "ghp_wJalrXUtnFEMIwJalrXUtnFEMIwJalrXUtnFEMI",
    ],
)
def test_what_looks_like_a_secret_is_masked(text):
    assert "wJalrXUtnFEMI" not in mask_likely(text)
    assert "wJalrXUtnFEMI" not in "".join(mask_command(["x", text]))


@pytest.mark.parametrize("text", ["loss = 0.1", "epochs: 10", "key = row['id']", "https://example.org/a:b@c"])
def test_other_text_stays(text):
    assert mask_likely(text) == text
