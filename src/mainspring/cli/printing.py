"""What the verbs print: answers on standard output, errors and progress on standard error."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from inspect import cleandoc
from typing import Any, NoReturn

import click
import msgspec

from mainspring.domain.catalogue import find_entry
from mainspring.domain.errors import Invalid, MainspringError
from mainspring.domain.near import suggest

_GAP = "  "
_LEAST_ROOM = 12
"""Columns below which a text is not broken into lines."""


class Fault(msgspec.Struct):
    """An error as ``--json`` prints it, in one line on standard error.

    Attributes
    ----------
    code : str
        What `mainspring why CODE` explains.
    what, why, fix : str
        What happened, why, and the command or change that mends it.
    context : JSON
        What it is about, for programs.
    exit_code : int
        That of the command.
    """

    code: str
    what: str
    why: str
    fix: str
    context: dict[str, Any]
    exit_code: int


class Refusal(msgspec.Struct):
    """The line of JSON on standard error."""

    error: Fault


class Verb(click.Command):
    """A command; one with an answer also takes ``--json``.

    Parameters
    ----------
    answer : type, tuple of type or str, optional
        What ``--json`` prints: one type, one of several after the options, or ``module:name`` of a type
        that is heavy to import. None: the command prints no JSON, and says in its help why.
    lines : bool, default False
        It prints one JSON in a line, again and again, with the options that make it go on.
    untried : str, optional
        Why a command that changes something has no ``--dry-run``; its help ends with it.
    """

    def __init__(self, *args: Any, answer: Any = None, lines: bool = False, untried: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.answer, self.lines, self.untried = answer, lines, untried
        if untried and self.help:
            self.help = f"{cleandoc(self.help)}\n\nThere is no --dry-run: {untried}."
        if answer is not None:
            self.params.append(_json_option())


class Noun(click.Group):
    """A plural noun: bare it lists, with a verb after it it acts; the parameters are those of `Verb`."""

    command_class = Verb

    def __init__(self, *args: Any, answer: Any = None, lines: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **{"invoke_without_command": True, **kwargs})
        self.answer, self.lines = answer, lines
        self.params.append(_json_option())

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb of the noun, or name the nearest."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            refuse_verb(args[0], self.commands, ctx.command_path)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the first word that has a sign of comparison for the filter of the list."""
        if any(param.name == "filter" for param in self.params):
            valued = {name for param in self.params if not getattr(param, "is_flag", True) for name in param.opts}
            words = (at for at, word in enumerate(args) if word[:1] != "-" and (at == 0 or args[at - 1] not in valued))
            first = next(words, None)
            if first is not None and any(sign in args[first] for sign in "=<>~ "):
                args = [*args[:first], "--filter", *args[first:]]
        return super().parse_args(ctx, args)


dry_run = click.option(
    "--dry-run",
    is_flag=True,
    expose_value=False,
    callback=lambda context, _option, wanted: context.meta.update(dry_run=wanted),
    help="Only tell what would change.",
)
"""The option of verbs that change something by `mainspring.cli.asking.act`."""


def is_dry_run() -> bool:
    """Tell whether the running command was asked to change nothing."""
    return bool(click.get_current_context().meta.get("dry_run"))


def wants_json() -> bool:
    """Tell whether the running command was asked for JSON."""
    return bool(click.get_current_context().meta.get("json"))


def refuse_verb(word: str, known: Iterable[str], path: str) -> NoReturn:
    """Refuse a verb that there is none of, and name the nearest.

    Raises
    ------
    Invalid
        CLI-001.
    """
    fix = suggest(word, known, f"{path} {{}}", f"{path} --help")
    raise Invalid("CLI-001", f"there is no verb {word!r}", fix=fix)


def print_json(value: Any) -> None:
    """Print what a command answers as indented JSON: UTF-8, whatever the terminal's own encoding is."""
    click.echo(msgspec.json.format(_encode(value), indent=2))


def print_line(value: Any) -> None:
    """Print one of many answers as JSON in a line of its own, at once."""
    click.echo(_encode(value))
    sys.stdout.flush()


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "none") -> None:
    """Print rows: aligned and cut to the width of a terminal, tab-separated into a pipe.

    Parameters
    ----------
    columns : sequence of str
        Headings. A terminal is not shown those under which nothing stands; a pipe gets all of them.
    rows : iterable of sequence
        One cell for each heading; None prints as a dash.
    empty : str
        Told on standard error when there is no row.
    """
    lines = [["-" if cell is None else clean(str(cell)) for cell in row] for row in rows]
    if not lines:
        click.echo(empty, err=True)
        return
    if not sys.stdout.isatty():
        for line in [list(columns), *lines]:
            click.echo("\t".join(line))
        return
    kept = [index for index in range(len(columns)) if any(line[index] not in {"", "-"} for line in lines)]
    heads, lines = [columns[index].upper() for index in kept], [[line[index] for index in kept] for line in lines]
    widths = [max(len(line[index]) for line in [heads, *lines]) for index in range(len(kept))]
    room = _find_room()
    click.secho(_cut(_GAP.join(name.ljust(width) for name, width in zip(heads, widths, strict=True)), room), bold=True)
    for line in lines:
        click.echo(_cut(_GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)), room))


def print_fields(fields: dict[str, Any]) -> None:
    """Print names and values of one thing, one a line; an absent value is left out.

    On a terminal a long value goes on in the next line, under its beginning.
    """
    shown = {name: value for name, value in fields.items() if value not in (None, "", [], {})}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        for number, line in enumerate(str(value).splitlines() or [""]):
            print_wrapped(clean(line), ("" if number else name).ljust(width) + _GAP)


def print_wrapped(text: str, head: str = "") -> None:
    """Print a text behind a head; on a terminal its further lines stand under its beginning.

    Parameters
    ----------
    text : str
        One line; words longer than a line are broken.
    head : str
        What stands before it, in the first line.
    """
    room = _find_room() - len(head)
    if not sys.stdout.isatty() or len(text) <= room or room < _LEAST_ROOM:
        click.echo(f"{head}{text}")
        return
    indent = len(text) - len(text.lstrip())
    words = textwrap.wrap(text, room, subsequent_indent=" " * indent, drop_whitespace=True)
    for number, line in enumerate(words):
        click.echo(f"{' ' * len(head) if number else head}{line}")


def clean(text: str) -> str:
    r"""Replace what could move a terminal's cursor or break a table: names and messages are not ours.

    Examples
    --------
    >>> clean("a\tb\x1b[2J")
    'a b [2J'
    """
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def print_error(error: MainspringError, *, as_json: bool) -> int:
    """Print code, what, why and fix on standard error.

    Returns
    -------
    int
        The exit code of the error's entry in the catalogue.
    """
    if as_json:
        click.echo(_encode(Refusal(describe_fault(error))), err=True)
    else:
        click.secho(f"{error.code}: {clean(error.what)}", err=True, fg="red", color=find_color())
        click.echo(f"  why: {clean(error.why)}\n  fix: {clean(error.fix)}", err=True)
    return find_entry(error.code).exit_code


def describe_fault(error: MainspringError) -> Fault:
    """Return an error as ``--json`` prints it."""
    code = find_entry(error.code).exit_code
    return Fault(error.code, error.what, error.why, error.fix, error.context, code)


def find_color() -> bool | None:
    """Return False where nothing may be colored (`NO_COLOR <https://no-color.org>`_), else None: on terminals."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def print_next(command: str) -> None:
    """Tell the next command to type, on a terminal only, and after a change that was made."""
    if sys.stdout.isatty() and not is_dry_run():
        click.secho(f"next: {command}", err=True, dim=True)


def _json_option() -> click.Option:
    return click.Option(["--json"], is_flag=True, expose_value=False, callback=_remember, help="Print JSON.")


def _remember(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        context.meta["json"] = True


def _find_room() -> int:
    return shutil.get_terminal_size().columns


def _cut(line: str, room: int) -> str:
    line = line.rstrip()
    return line if len(line) <= room else line[: max(room - 1, 1)] + "…"
