"""``mainspring run``: a file, or a step or pipeline of it, here and now."""

from __future__ import annotations

import os
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mainspring.cli.arguments import read_arguments
from mainspring.cli.asking import ask
from mainspring.cli.printing import Verb, print_json, wants_json
from mainspring.cli.targets import enter_folder, find_file, find_function, guard
from mainspring.domain.messages import ListRuns
from mainspring.domain.records import Run


@click.command(
    "run",
    answer=list[Run],
    untried="what code does is known when it has run",
    cls=Verb,
    epilog="Examples: mainspring run flights.py · mainspring run flights.py::train folder=data",
)
@click.argument("target")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--from", "anew", default="", metavar="STEP", help="Of its pipelines: STEP and what follows it run anew.")
def command(target: str, arguments: tuple[str, ...], anew: str) -> None:
    """Run TARGET in this process; its pipelines tell their progress on standard error.

    TARGET is FILE.py, run like `python FILE.py`, or FILE.py::NAME to call one step or pipeline
    with NAME=VALUE arguments and print its result; a value becomes what the parameter's annotation
    says. With --json the runs that were recorded are printed, and what the code prints goes to
    standard error.
    """
    from mainspring.cli.live import LiveView
    from mainspring.sdk.context import ask_anew

    begun = time.time()
    act = make_action(target, arguments)
    with LiveView(), guard(target), ask_anew(anew):
        result = act()
    if wants_json():
        print_json(find_recorded(begun))
    elif "::" in target and result is not None:
        click.echo(str(result))


def make_action(target: str, arguments: tuple[str, ...]) -> Callable[[], Any]:
    """Find what a target names.

    Raises
    ------
    NotFound
        CLI-002 when there is no such file, or the file has no such function.
    Failed
        CLI-006 when the file cannot be imported.
    Invalid
        CLI-010 when a value is not of its parameter's kind.
    """
    text, _, name = target.partition("::")
    path = find_file(text, "mainspring run")
    if not name:
        if arguments:
            raise click.UsageError(f"{text} takes no arguments; name the function, as in {text}::train")
        enter_folder(path)
        return lambda: _run_file(path)
    function = find_function(path, name)
    keywords = read_arguments(function, arguments)
    return lambda: function(**keywords)


def _run_file(path: Path) -> None:
    sys.argv = [str(path)]  # the file may read its own arguments; the words of this command are none of them
    runpy.run_path(str(path), run_name="__main__")


def find_recorded(begun: float) -> list[Run]:
    """Return the runs that this process recorded since a moment, oldest first.

    Parameters
    ----------
    begun : float
        Seconds since 1970 UTC.
    """
    runs: list[Run] = ask(ListRuns(limit=1000))
    return [run for run in reversed(runs) if run.pid == os.getpid() and run.created_at >= begun]
