"""What people see: on terminals of several widths, drawn anew, and plain where there is no terminal."""

import os
import re
import subprocess
import sys

from tests.support.shapes import check_shape
from tests.support.terminals import Terminal

from mainspring.domain import messages

LONG = "a_step_with_a_name_that_is_much_longer_than_any_narrow_terminal"


def submit(client, name=LONG):
    spec = messages.RunSpec(kind="step", name=name, call=messages.records.Call(payload="0" * 64))
    return client.ask(messages.SubmitRuns([spec]))[0]


SLOW = """
import pathlib, sys, time
import mainspring as ms

sys.stdout.reconfigure(errors="replace")
sys.stdout.buffer.flush()

@ms.step
def read() -> int:
    return 1

@ms.step
def think(number: int) -> int:
    print("I think")
    until = time.monotonic() + 60
    while not pathlib.Path("enough").exists() and time.monotonic() < until:
        time.sleep(0.05)
    print("I thought")
    return number

@ms.pipeline
def go() -> int:
    return think(read())

if __name__ == "__main__":
    go()
"""


def test_a_run_tells_on_a_terminal_what_runs_and_for_how_long(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow.py").write_text(SLOW)
    terminal = Terminal("run", "slow.py")
    terminal.wait_for(r"go [0-9a-f]{6}  read        run")
    terminal.wait_for(r"I think\n[^\n]*think       \.\.\.    \d")
    terminal.wait_for(r"think       \.\.\. .*think       \.\.\. ")
    (tmp_path / "enough").touch()
    assert terminal.end() == 0
    shown = show_screen(terminal.drawn)
    assert [re.sub(r"[0-9a-f]{6}|[0-9.]+ m?s", "#", line) for line in shown] == [
        "go #  read        run    #",
        "I think",
        "I thought",
        "           think       run    #",
        "next: mainspring why #",
    ]


def test_a_run_without_a_terminal_prints_plain_lines(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "enough").touch()
    words = [sys.executable, "-m", "mainspring", "run", "slow.py"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "I think\nI thought\n"
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
    assert re.search(r"^go [0-9a-f]{6}  read        run ", done.stderr)
    quiet = Terminal("run", "slow.py", TERM="dumb")
    assert quiet.end() == 0
    assert "\x1b" not in quiet.drawn


def show_screen(drawn):
    """Return the lines that a terminal shows in the end, of what was written without moving up."""
    lines = []
    for line in drawn.split("\n"):
        shown = ""
        for piece in line.rstrip("\r").split("\r"):
            text = piece.replace("\x1b[K", "") if piece.startswith("\x1b[K") else piece
            shown = text if piece.startswith("\x1b[K") else text + shown[len(text) :]
        lines.append(re.sub(r"\x1b\[[0-9;]*m", "", shown).rstrip())
    return [line for line in lines if line]


def test_a_terminal_of_twenty_columns_is_enough(client):
    run = submit(client)
    client.ask(messages.CancelRuns([run.id]))
    for words in (["runs"], ["alarms"], ["services"]):
        terminal = Terminal(*words, columns=20)
        assert terminal.end() == 0
        assert "\t" not in terminal.text
        if words == ["runs"]:
            assert all(len(line) <= 20 for line in terminal.text.splitlines()), terminal.text
            assert run.id[-6:] in terminal.text
    for words in (["status"], ["why", run.id], ["runs", "show", run.id], ["doctor"]):
        assert Terminal(*words, columns=20).end() in {0, 1}


def test_no_color_means_no_control_code_at_all(client):
    submit(client)
    for words, style in ((["runs"], "\x1b[1m"), (["runs", "show", "feed"], "\x1b[31m")):
        colored = Terminal(*words)
        colored.end()
        assert style in colored.drawn
        for setting in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            plain = Terminal(*words, **setting)
            plain.end()
            assert "\x1b" not in plain.drawn


def test_watching_draws_anew_on_a_terminal_until_ctrl_c(client):
    first = submit(client, "first")
    terminal = Terminal("runs", "-w").wait_for("first")
    client.ask(messages.CancelRuns([first.id]))
    terminal.wait_for("cancelled|failed")  # a worker may have been faster
    assert terminal.interrupt().end() == 130
    assert terminal.drawn.count("\x1b[H\x1b[2J") >= 2
    assert "Traceback" not in terminal.text


def test_watching_without_a_terminal_prints_what_changed_and_no_control_code(client):
    first = submit(client, "first")
    for words in (["runs", "-w"], ["runs", "-w", "--json"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "mainspring", *words], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        try:
            line = process.stdout.readline()
            if "--json" in words:
                assert check_shape("mainspring runs", line)["runs"][0]["id"] == first.id
            else:
                assert line.startswith("id\tkind\tname")
                assert "\x1b" not in process.stdout.readline()
        finally:
            process.terminate()
            process.communicate(timeout=60)


def test_status_says_what_to_do_next_on_a_terminal_only(client):
    terminal = Terminal("status")
    assert terminal.end() == 0
    assert re.search(r"^next: mainspring init", terminal.text, re.MULTILINE)
    piped = subprocess.run([sys.executable, "-m", "mainspring", "status"], capture_output=True, text=True, check=True)
    assert piped.stderr == ""
