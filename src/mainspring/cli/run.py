"""``mainspring run``: a file, or a step or pipeline of it, here and now; a command as a run of the queue."""

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
from mainspring.cli.offering import offer
from mainspring.cli.printing import Verb, print_fields, print_json, print_next, wants_json
from mainspring.cli.targets import enter_folder, find_file, find_function, guard
from mainspring.cli.texts import shorten_id
from mainspring.domain.messages import CancelRuns, GetLogs, GetRun, ListRuns, Logs
from mainspring.domain.records import Run
from mainspring.domain.wire import restore

_WAIT_S = 5.0


class Target(Verb):
    """The verb, whose words behind ``--`` are a command and none of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words of the command apart."""
        if "--" in args:
            at = args.index("--")
            ctx.meta["words"] = args[at + 1 :]
            if not ctx.meta["words"]:
                raise click.UsageError("there is no command behind --", ctx)
            args = args[:at]
        return super().parse_args(ctx, args)


@click.command(
    "run",
    answer=(list[Run], Run),
    untried="what code does is known when it has run",
    cls=Target,
    epilog="Examples: mainspring run flights.py · mainspring run flights.py::train folder=data"
    " · mainspring run --gpus 1 -w -- python train.py --rate 0.1",
)
@click.argument("target", required=False)
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]... | -- COMMAND...")
@click.option("--from", "anew", default="", metavar="STEP", help="Of its pipelines: STEP and what follows it run anew.")
@click.option("--cpus", type=float, help="Cores that COMMAND needs; default 1.")
@click.option("--gpus", type=float, help="Devices that it needs on each node.")
@click.option("--memory", help="Memory that it may use, such as 4GB.")
@click.option("--gpu-type", metavar="NAME[,NAME]", help="What they are to be, A100; one of several will do.")
@click.option("--nodes", type=int, help="Machines that it needs at once, each with all of this; default 1.")
@click.option("--pool", shell_complete=offer("pool"), help="Where; default any pool that may.")
@click.option(
    "--env", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="File of packages, one in a line."
)
@click.option("--sensitive", is_flag=True, default=None, help="It reads what is sensitive: it stays where that may be.")
@click.option("--name", help="What its run is called; default the program's name.")
@click.option("-w", "--wait", is_flag=True, default=None, help="Print what it prints, and end with its exit status.")
def command(target: str | None, arguments: tuple[str, ...], anew: str, **asked: Any) -> None:
    """Run TARGET in this process, or queue COMMAND; pipelines tell their progress on standard error.

    TARGET is FILE.py, run like `python FILE.py`, or FILE.py::NAME to call one step or pipeline
    with NAME=VALUE arguments and print its result; a value becomes what the parameter's annotation
    says. With --json the runs that were recorded are printed, and what the code prints goes to
    standard error.

    COMMAND, behind --, becomes a run of the queue: a worker executes it in this folder, and its output is the
    run's log. With -w it is followed, Ctrl-C cancels it, and its exit status becomes that of this command.

    With --nodes it is started once on each of so many machines of a pool, all or none, with the variables that
    `torchrun --nnodes $WORLD_SIZE --node-rank $NODE_RANK --master-addr $MASTER_ADDR --master-port $MASTER_PORT`
    needs. Its result is that of the first; if one fails, all end.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    if words := click.get_current_context().meta.get("words"):
        if target is not None or anew:
            raise click.UsageError("a command behind -- takes the place of TARGET and its options")
        run_words(words, given)
        return
    if given:
        raise click.UsageError(f"--{next(iter(given))} goes with a command: mainspring run [OPTIONS] -- COMMAND")
    if target is None:
        raise click.UsageError("Missing argument 'TARGET', or a command behind --")
    run_target(target, arguments, anew)


def run_target(target: str, arguments: tuple[str, ...], anew: str) -> None:
    """Run a file or a function of it here."""
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


def run_words(words: list[str], asked: dict[str, Any]) -> None:
    """Queue a command, and with ``wait`` follow it to its end."""
    from mainspring.sdk.commands import start_command
    from mainspring.sdk.environments import Env

    wait, env = asked.pop("wait", False), asked.pop("env", None)
    run = start_command(words, **asked, env=None if env is None else Env(read_packages(env)))
    if wait:
        run = follow(run)
    if wants_json():
        print_json(run)
    elif not wait:
        print_fields({"run": run.id, "name": f"{run.name} ({run.kind})", "state": f"{run.state}: {run.reason}"})
        print_next(f"mainspring logs {shorten_id(run.id)} -f")
    if wait and run.problem is not None:
        status = run.problem.context.get("status")
        if isinstance(status, int):
            click.get_current_context().exit(status)
        raise restore(run.problem)


def follow(run: Run) -> Run:
    """Print what a run prints until it ends; Ctrl-C cancels it."""
    logs = Logs("", 0, ended=False)
    try:
        while not logs.ended:
            logs = ask(GetLogs(run.id, logs.offset, _WAIT_S))
            click.echo(logs.text, nl=False, err=wants_json())
    except KeyboardInterrupt:
        ask(CancelRuns([run.id], "interrupted where it was started"))
        raise
    ended: Run = ask(GetRun(run.id))
    return ended


def read_packages(path: Path) -> list[str]:
    """Return the requirements of a file, one in a line; what follows # is left out."""
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if line]


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
