"""What ``shell`` and ``notebook`` share: their options, and waiting until the session lets in."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mainspring.cli.asking import ask
from mainspring.cli.offering import offer
from mainspring.cli.run import read_packages
from mainspring.domain.errors import Failed, Invalid
from mainspring.domain.messages import CancelRuns, GetRun
from mainspring.domain.records import Run
from mainspring.domain.states import TERMINAL
from mainspring.domain.wire import restore

F = TypeVar("F", bound=Callable[..., Any])

_LOOK_S = 0.1


def session_options(function: F) -> F:
    """Give a verb the options that say where a session is, and how long."""
    for option in reversed(
        (
            click.option("--cpus", type=float, default=1.0, help="Cores; default 1."),
            click.option("--gpus", type=float, default=0.0, help="Devices."),
            click.option("--gpu-type", metavar="NAME[,NAME]", help="What they are to be; one of several will do."),
            click.option("--memory", help="Memory that it may use, such as 4GB."),
            click.option("--pool", shell_complete=offer("pool"), help="Which share of this machine."),
            click.option(
                "--env", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="File of packages."
            ),
            click.option("--idle", default="30min", help="It ends after so long without anybody or anything at work."),
        )
    ):
        function = option(function)
    return function


def start(name: str, asked: dict[str, Any]) -> Run:
    """Queue a session with the options of its verb."""
    from mainspring.sdk.environments import Env
    from mainspring.sdk.sessions import start_session

    env = asked.pop("env")
    return start_session(name, **asked, env=None if env is None else Env(read_packages(env)))


def find_session(text: str, name: str) -> Run:
    """Return a session by the id of its run.

    Raises
    ------
    Invalid
        SESSION-004 when the run is none of that name, or has ended.
    """
    run: Run = ask(GetRun(text))
    if (run.kind, run.name) != ("session", name) or run.state in TERMINAL:
        told = f"{run.name} ({run.kind}), {run.state}"
        raise Invalid("SESSION-004", f"{run.id[-6:]} is no {name} that one could go to: it is {told}", run=run.id)
    return run


def await_entrance(run: Run) -> Path:
    """Wait until a session lets in, and tell what it waits for; Ctrl-C cancels it.

    Raises
    ------
    MainspringError
        Why it has ended instead.
    """
    from mainspring.sdk.sessions import find_entrance

    path, told = find_entrance(run), ""
    try:
        while not path.exists():
            now: Run = ask(GetRun(run.id))
            if now.state in TERMINAL:
                raise restore(now.problem) if now.problem else Failed("SESSION-004", f"{run.name} has {now.state}")
            if now.state == "queued" and now.reason != told:
                told = now.reason
                click.echo(told, err=True)
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        ask(CancelRuns([run.id], "interrupted where it was started"))
        raise
    return path
