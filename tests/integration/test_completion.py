"""Completion in real shells, of verbs, options, names and ids; it starts no owner."""

import os
import shutil
import subprocess
import sys

import pytest

from mainspring.cli.main import VERBS
from mainspring.domain import access, messages
from mainspring.sdk.owners import answers

ASK = {
    "bash": "source <(mainspring completion bash); COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1));"
    ' _mainspring_completion mainspring; printf "%s\\n" "${{COMPREPLY[@]}}"',
    "fish": "mainspring completion fish | source; complete -C {quoted}",
}


@pytest.fixture
def press(tmp_path, home):
    """Press Tab behind some words in a shell of its own; return what it offers."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "mainspring"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mainspring "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}

    def ask(*words, shell="bash"):
        if shutil.which(shell) is None:
            assert os.environ.get("ENGINES") != "all", f"{shell} is not installed"
            pytest.skip(f"there is no {shell}")
        spelled = " ".join(f"'{word}'" for word in words)
        line = ASK[shell].format(words=spelled, quoted=f'"{" ".join(words)}"')
        command = [shell, "--norc", "-c", line] if shell == "bash" else [shell, "--no-config", "-c", line]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
        assert done.stderr == ""
        return [offered.split("\t")[0] for offered in done.stdout.split("\n") if offered]

    return ask


def test_verbs_and_options_are_completed_without_an_owner(press, home):
    assert press("mainspring", "") == list(VERBS)
    assert press("mainspring", "sta") == ["status"]
    assert press("mainspring", "runs", "sh") == ["show"]
    assert {"--limit", "--json", "--filter"} <= set(press("mainspring", "runs", "--"))
    assert press("mainspring", "users", "grant", "anna", "ed") == ["editor"]
    assert press("mainspring", "why", "") == []
    assert not answers(home)
    assert not home.root.exists()


def test_names_and_ids_come_from_the_owner_that_runs(press, client):
    run = client.ask(messages.BeginRun(kind="step", name="fit")).run
    client.ask(messages.PutVersion(kind="model", name="delays", digest="1" * 64, manifest={}))
    client.ask(messages.MoveAlias(kind="model", name="delays", alias="champion", number=1))
    client.ask(access.AddUser(name="anna"))
    assert press("mainspring", "runs", "show", "") == [run.id[-6:]]
    assert press("mainspring", "logs", run.id[-6:-3]) == [run.id[-6:]]
    assert press("mainspring", "models", "show", "delays@") == ["delays@1", "delays@champion"]
    assert press("mainspring", "users", "show", "") == ["anna"]
    assert {"delays", run.id[-6:]} <= set(press("mainspring", "why", ""))
    assert press("mainspring", "why", "nothing") == []


def test_fish_completes_too(press, client):
    assert press("mainspring", "sta", shell="fish") == ["status"]


def test_the_script_of_zsh_is_whole(press, home, tmp_path):
    words = [sys.executable, "-m", "mainspring", "completion", "zsh"]
    script = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "#compdef mainspring" in script
    if shutil.which("zsh"):
        (tmp_path / "script").write_text(script)
        subprocess.run(["zsh", "-n", str(tmp_path / "script")], check=True, timeout=60)


def test_completing_imports_only_what_it_needs(client):
    client.ask(messages.GetStatus())
    code = "import sys; from mainspring.cli.offering import offer;"
    code += "offer('run')(None, None, ''); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert "mainspring.sdk.wires" in loaded
    assert not loaded & {"sqlalchemy", "numpy", "polars", "asyncio", "mainspring.sdk.client", "mainspring.store.blobs"}


def test_a_shell_that_there_is_no_script_for_is_named(client, capfd):
    from mainspring.cli.main import _run

    assert _run(["completion", "tcsh"]) == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in capfd.readouterr().err
