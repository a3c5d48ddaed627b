"""``mainspring init``: begin a project from a packed example."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import msgspec

import mainspring
from mainspring.cli.printing import Verb, print_json, print_table, wants_json
from mainspring.domain.errors import Conflict, NotFound, Unavailable
from mainspring.domain.near import suggest

_FIRST = "hello"


class Started(msgspec.Struct):
    """A folder that was made from an example, and what to type in it."""

    folder: str
    example: str
    files: list[str]
    next: str


class Example(msgspec.Struct):
    """An example that is packed with Mainspring."""

    name: str
    summary: str


_LEAVE = shutil.ignore_patterns("__pycache__", "*.pyc", ".mainspring", ".*")


@click.command(
    "init",
    answer=(Started, list[Example]),
    untried="it writes a new folder only",
    cls=Verb,
    epilog="Examples: mainspring init · mainspring init year --example flights",
)
@click.argument("name", required=False)
@click.option("--example", default=_FIRST, show_default=True, help="Which example to copy.")
@click.option("--list", "listed", is_flag=True, help="List the examples.")
def command(name: str | None, example: str, *, listed: bool) -> None:
    """Begin a project: make the folder NAME (default: the example's name) with an example in it.

    Nothing is registered anywhere; a folder with a Python file is all that a project is.
    """
    examples = find_examples()
    if listed:
        _list_examples(examples)
        return
    if example not in examples:
        fix = suggest(example, examples, "mainspring init --example {}", "mainspring init --list")
        raise NotFound("CLI-004", f"there is no example {example!r}", fix=fix)
    folder = Path(name or example)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict("CLI-003", f"{folder} is there already", fix=f"mainspring init ANOTHER --example {example}")
    _copy(examples[example], folder)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    first = f"{example}.py"
    if wants_json():
        print_json(Started(str(folder), example, files, f"python {first}"))
        return
    click.echo(f"{folder}/  {'  '.join(files)}")
    click.echo(f"next: cd {folder} && python {first}")


def find_examples() -> dict[str, Path]:
    """Return the examples by name: of the installed package, or of the clone it runs from.

    Returns
    -------
    dict of str to Path
        Name -> folder with ``NAME.py`` in it.
    """
    package = Path(mainspring.__file__).parent
    packed, clone = package / "_examples", package.parent.parent / "examples"
    root = packed if packed.is_dir() else clone
    return {path.name: path for path in sorted(root.glob("*")) if (path / f"{path.name}.py").is_file()}


def _copy(example: Path, folder: Path) -> None:
    try:
        shutil.copytree(example, folder, ignore=_LEAVE, dirs_exist_ok=True)
    except OSError as fault:
        reason = fault.args[0][0][2] if isinstance(fault, shutil.Error) else fault.strerror
        raise Unavailable("CLI-008", f"{folder} cannot be written: {reason}", folder=str(folder)) from None


def _list_examples(examples: dict[str, Path]) -> None:
    rows = [(name, _read_summary(folder / f"{name}.py")) for name, folder in examples.items()]
    if wants_json():
        print_json([Example(*row) for row in rows])
    else:
        print_table(("example", "what it shows"), rows)


def _read_summary(path: Path) -> str:
    first = path.read_text("utf-8").split("\n", 1)[0]
    return first.strip('"').split("   ", 1)[0].strip()
