"""Write docs/reference from the code, or with ``--check`` tell what is out of date."""

from __future__ import annotations

import inspect
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click

import mainspring
from mainspring.api.actions import list_actions
from mainspring.api.openapi import make_document
from mainspring.api.routes import TABLE, TRANSFERS
from mainspring.cli.main import cli
from mainspring.domain.catalogue import ENTRIES
from mainspring.domain.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- Written by `make docs` from the code; edit the code instead. -->"

GROUPS = {
    "mainspring.blobs": "Where blobs lie outside a home; chosen by the scheme of `MAINSPRING_BLOBS`.",
    "mainspring.engines": "Where runs execute; chosen by the scheme of a pool's URL.",
    "mainspring.flavors": "How a kind of model is saved, loaded, converted and predicted with.",
    "mainspring.connectors": "Where rows come from: what `ms.source(url)` opens, chosen by the URL's scheme.",
    "mainspring.sinks": "Who is told of events; chosen by `mainspring sinks add --kind`.",
    "mainspring.searchers": "How a search proposes the next trial.",
}
"""Entry-point groups and what an adapter of each is."""


def render_pages() -> dict[str, str]:
    """Return each page of the reference.

    Returns
    -------
    dict of str to str
        File name -> Markdown.
    """
    pages = {
        "names.md": ("Python names", _render_names()),
        "cli.md": ("Command line", _render_cli()),
        "errors.md": ("Error codes", _render_errors()),
        "http.md": ("HTTP", _render_http()),
        "settings.md": ("Settings", _render_settings()),
        "extensions.md": ("Extensions", _render_groups()),
    }
    index = "\n".join(f"- [{title}]({name})" for name, (title, _) in pages.items())
    texts = {name: f"{NOTE}\n\n# {title}\n\n{''.join(body)}" for name, (title, body) in pages.items()}
    texts["README.md"] = f"{NOTE}\n\n# Reference\n\n{index}\n"
    return {**{name: text.rstrip() + "\n" for name, text in texts.items()}, "openapi.json": render_openapi()}


def find_stale(folder: Path = FOLDER) -> list[str]:
    """Return the pages that differ from the code, and those that have no source any more."""
    pages = render_pages()
    there = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    return sorted(name for name in pages.keys() | there.keys() if pages.get(name) != there.get(name))


def _render_names() -> Iterator[str]:
    yield "`import mainspring as ms`. A name stands here when it works.\n\n"
    for name in sorted(mainspring.__all__, key=str.lower):
        thing = getattr(mainspring, name)
        yield f"## ms.{name}\n\n```python\n{_describe_signature(name, thing)}\n```\n\n"
        yield f"```text\n{inspect.getdoc(thing)}\n```\n\n"
        if inspect.isclass(thing):
            yield from _render_methods(name, thing)


def _render_methods(name: str, thing: type) -> Iterator[str]:
    members = {method: value for base in reversed(thing.__mro__[:-1]) for method, value in vars(base).items()}
    for method, value in sorted(members.items()):
        inner = getattr(value, "__func__", value)
        if method.startswith("_") or not (callable(inner) or isinstance(value, property)):
            continue
        signature = method if isinstance(value, property) else _describe_signature(method, inner)
        first = (inspect.getdoc(value) or "").split("\n\n", 1)[0].replace("\n", " ")
        yield f"- `{name}.{signature}` - {first}\n"
    yield "\n"


class _Plain:
    """An annotation that prints as it was written, without quotes."""

    def __init__(self, annotation: object) -> None:
        self._text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)

    def __repr__(self) -> str:
        return self._text


def _describe_signature(name: str, thing: object) -> str:
    try:
        signature = inspect.signature(thing)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return name
    empty = inspect.Signature.empty
    parameters = [
        each if each.annotation is empty else each.replace(annotation=_Plain(each.annotation))
        for key, each in signature.parameters.items()
        if key not in {"self", "cls"}
    ]
    returns = signature.return_annotation
    shown = signature.replace(
        parameters=parameters, return_annotation=empty if returns in {empty, "None", None} else _Plain(returns)
    )
    return f"{name}{shown}"


def _render_cli() -> Iterator[str]:
    context = click.Context(cli, info_name="mainspring", **cli.context_settings)
    yield f"```text\n{cli.get_help(context)}\n```\n\n"
    yield "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied, 5 conflict, 6 unavailable, "
    yield "130 interrupted.\n\n"
    for verb in cli.list_commands(context):
        command = cli.get_command(context, verb)
        assert command is not None
        yield from _render_command(command, click.Context(command, context, verb, max_content_width=100), 2)


def _render_command(command: click.Command, context: click.Context, depth: int) -> Iterator[str]:
    yield f"{'#' * depth} {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.commands[name]
            yield from _render_command(inner, click.Context(inner, context, name, max_content_width=100), depth + 1)


def _render_errors() -> Iterator[str]:
    yield "`mainspring why CODE` prints the same, offline.\n\n"
    yield "| code | what | why | fix | exit | HTTP |\n|---|---|---|---|---|---|\n"
    for code, entry in sorted(ENTRIES.items()):
        cells = (code, entry.title, entry.why, entry.fix, str(entry.exit_code), str(entry.http_status))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _render_http() -> Iterator[str]:
    actions = list_actions()
    yield "`mainspring up` serves these below `/api/v1`; [the OpenAPI document](openapi.json) has every field, and\n"
    yield "[the guide](../guide/remote.md) the rules. Each needs `Authorization: Bearer TOKEN`, takes\n"
    yield "`?project=`, and answers errors as `application/problem+json`.\n\n"
    yield "| verb and path | action | what |\n|---|---|---|\n"
    for entry in TABLE:
        first = (inspect.getdoc(entry.command) or "").split("\n\n", 1)[0].replace("\n", " ")
        yield f"| `{entry.method} {entry.path}` | `{actions[entry.command.__name__]}` | {first} |\n"
    for transfer in TRANSFERS:
        action = actions[transfer.command.__name__]
        yield f"| `{transfer.method} {transfer.path}` | `{action}` | {transfer.text} |\n"
    yield "| `GET /events/stream` | `events.read` | Events as they happen, as server-sent events. |\n"
    yield "| `POST /commands/{Command}` | that of the command | Any command in MessagePack, from remote clients. |\n"
    yield "| `GET /openapi.json` | a token | This table with every field. |\n\n"
    yield '`GET /health` answers `{"status": "ok"}` to anybody. Browsers: `GET /login?code=`,\n'
    yield "`GET /oidc/login` and `GET /oidc/callback` give a session's cookie, `POST /logout` ends it.\n"


def render_openapi() -> str:
    """Return the OpenAPI document as it is kept beside the pages."""
    return json.dumps(make_document(list_actions()), indent=1) + "\n"


def _render_settings() -> Iterator[str]:
    yield "Environment variables; there is no configuration file.\n\n| name | what it does |\n|---|---|\n"
    for name, text in sorted(SETTINGS.items()):
        yield f"| `{name}` | {text} |\n"


def _render_groups() -> Iterator[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    yield "An adapter is one file and one line: an entry point of one of these groups, in your package or here.\n\n"
    for group, targets in sorted(project.get("entry-points", {}).items()):
        yield f"## {group}\n\n{GROUPS[group]}\n\n| name | adapter |\n|---|---|\n"
        yield from (f"| `{name}` | `{target}` |\n" for name, target in sorted(targets.items()))
        yield "\n"


def main() -> int:
    """Write the pages; with ``--check`` only tell which are stale."""
    if "--check" in sys.argv[1:]:
        stale = find_stale()
        for name in stale:
            print(f"docs/reference/{name} is out of date: make docs")
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    pages = render_pages()
    for path in FOLDER.iterdir():
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        (FOLDER / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
