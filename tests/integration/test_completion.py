"""Completion in real shells, of verbs, options, names and ids; it starts no owner."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

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
def environment(tmp_path, home):
    """Variables by which a shell finds this code's program."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "mainspring"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mainspring "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}


@pytest.fixture
def press(environment):
    """Press Tab behind some words in a shell of its own; return what it offers."""

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


@contextmanager
def open_terminal(command, environment):
    """Run a program at a terminal; yield ``type(keys, wanted)``, which waits until the terminal shows something."""
    leader, follower = pty.openpty()
    shell = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True
    )
    os.close(follower)
    shown = ""

    def enter(keys, wanted):
        nonlocal shown
        shown = ""
        os.write(leader, keys.encode())
        deadline = time.monotonic() + 60
        while wanted not in shown:
            assert time.monotonic() < deadline, f"{wanted!r} is not in {shown!r}"
            if select.select([leader], [], [], 1)[0]:
                shown += os.read(leader, 4096).decode(errors="replace")
        return shown

    try:
        yield enter
    finally:
        shell.kill()
        shell.wait()
        os.close(leader)


def test_zsh_completes_at_a_terminal(environment, client, tmp_path):
    if shutil.which("zsh") is None:
        assert os.environ.get("ENGINES") != "all", "zsh is not installed"
        pytest.skip("there is no zsh")
    run = client.ask(messages.BeginRun(kind="step", name="fit")).run
    (tmp_path / ".zshrc").write_text(
        'autoload -Uz compinit && compinit -u -D\neval "$(mainspring completion zsh)"\nPS1="ready> "\n'
    )
    variables = {**environment, "ZDOTDIR": str(tmp_path), "TERM": "vt100", "COLUMNS": "120"}
    with open_terminal(["zsh", "-d", "-i"], variables) as enter:
        enter("", "ready> ")
        enter("\x15mainspring sta\t", "status")
        enter("\x15mainspring runs sh\t", "show")
        enter("\x15mainspring runs show \t", run.id[-6:])
        enter("\x15mainspring users grant anna ed\t", "editor")


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
