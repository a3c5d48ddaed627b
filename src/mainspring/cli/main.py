"""The command ``mainspring``: finds the verb, runs it, turns errors into exit codes."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click
from click.shell_completion import CompletionItem, shell_complete

from mainspring import __version__
from mainspring.cli.offering import VARIABLE, offer
from mainspring.cli.printing import find_color, print_error, refuse_verb
from mainspring.domain.errors import Invalid, MainspringError, Unavailable

# Verb -> what its help says in a line; `mainspring.cli.<verb>` holds it and loads when it is typed.
VERBS: dict[str, str] = {
    "init": "Begin a project from an example",
    "run": "Run a file, or a step or pipeline of it",
    "shell": "Open a shell in a run, with what that asks for",
    "notebook": "Start Jupyter in a run, with what that asks for",
    "tune": "Search the arguments of a step",
    "status": "Show the home at a glance",
    "top": "Who holds which machines and who waits, live",
    "runs": "List, show, cancel and delete runs",
    "studies": "List, show, stop and resume searches",
    "logs": "Print what a run printed",
    "why": "Ask why: a run, a model, a service, an alarm, an error code",
    "up": "Serve the record over loopback HTTP",
    "login": "Work at a server from now on",
    "logout": "Work at the home of this machine again",
    "stop": "End the owner of the home",
    "apply": "Put what a file declares under the owner's care",
    "pipelines": "List, show, start, pause and remove applied pipelines",
    "promote": "Judge a model by its gate and move an alias",
    "gates": "List, show and remove what guards an alias",
    "deploy": "Deploy a model as a service",
    "services": "List, show, roll back and stop services",
    "alarms": "List alarms",
    "data": "List, show and delete datasets, and their quarantine",
    "models": "List, show, describe, rename and delete models",
    "import": "Bring the record of an MLflow server here",
    "export": "Bring runs to an MLflow server",
    "projects": "List, make and remove projects",
    "users": "Users and service accounts, and their roles",
    "tokens": "Make tokens and take them back",
    "secrets": "Keep secrets, handed to runs by name",
    "pools": "List, add, show and remove the pools in which runs execute",
    "nodes": "List, drain and resume the machines of pools",
    "quotas": "List, set, show and remove what tenants may count on and not exceed",
    "sinks": "Tell others what happens: webhook, Slack, e-mail, Alertmanager, OpenLineage",
    "audit": "Who did what; verify and export it",
    "server": "Back the record up, restore, upgrade and tidy it",
    "simulate": "Try a trace of a cluster with a policy",
    "plan": "The last weeks again with other machines, quotas or demand",
    "debug": "A failed step again, with its inputs, under pdb",
    "doctor": "Check this machine and this home",
    "completion": "Let bash, zsh or fish complete verbs, options, names and ids",
}

_MODULES = {"import": "imports"}
"""Verbs that are words of Python, and the modules that hold them."""

_INTERRUPTED = 130


class Verbs(click.Group):
    """A group that imports a verb only when it is typed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click names it
        """Return the verbs in the order of `VERBS`."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click names it
        """Import a verb."""
        if cmd_name not in VERBS:
            return None
        module = _MODULES.get(cmd_name, cmd_name)
        command: click.Command = import_module(f"mainspring.cli.{module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or name the nearest ones."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            refuse_verb(args[0], VERBS, "mainspring")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer verbs without importing them, and the options."""
        verbs = [CompletionItem(name, help=text) for name, text in VERBS.items() if name.startswith(incomplete)]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click names it
        """List the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(
    cls=Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`mainspring VERB --help` tells more. Every verb takes --json; errors end with an exit code of their class.",
)
@click.version_option(__version__, message="%(version)s")
@click.option(
    "-P",
    "--project",
    metavar="NAME",
    shell_complete=offer("project"),
    help="Work in this project; default $MAINSPRING_PROJECT.",
)
@click.pass_context
def cli(context: click.Context, project: str | None) -> None:
    """From raw data to a watched production service that renews itself.

    \b
    mainspring init demo --example flights && cd demo && python flights.py
    mainspring status
    mainspring why delays@champion
    """  # noqa: D301
    if project is not None:
        os.environ["MAINSPRING_PROJECT"] = project
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after ``mainspring``; default those of this process.

    Raises
    ------
    SystemExit
        Always, with one of `mainspring.domain.catalogue.entry.EXIT_CODES`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a letter that the locale has not becomes a question mark
    asked = os.environ.pop(VARIABLE, "")
    if asked:
        sys.exit(shell_complete(cli, {}, "mainspring", VARIABLE, asked))
    sys.exit(_run(words))


def _run(words: list[str]) -> int:
    as_json = "--json" in words
    try:
        # Not click's `main`, which ends a process whose pipe was closed with an error.
        with cli.make_context("mainspring", words, color=find_color()) as context:
            cli.invoke(context)
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except MainspringError as error:
        return print_error(error, as_json=as_json)
    except click.UsageError as error:
        return print_error(_describe_usage(error), as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\ninterrupted" if sys.stderr.isatty() else "interrupted", err=True)
        return _INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        _silence()
        return 0
    except OSError as fault:
        if fault.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}:
            raise
        _silence()
        return print_error(
            Unavailable("CLI-009", f"{fault.filename or 'standard output'}: {fault.strerror}"), as_json=as_json
        )


def _silence() -> None:
    """Let Python flush into nothing when it ends, where it would complain once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _describe_usage(error: click.UsageError) -> Invalid:
    verb = error.ctx.command_path if error.ctx else "mainspring"
    near = error.possibilities if isinstance(error, click.NoSuchOption) else None
    fix = f"{verb} {sorted(near)[0]}" if near else f"{verb} --help"
    return Invalid("CLI-001", error.format_message(), fix=fix)
