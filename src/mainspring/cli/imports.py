"""``mainspring import``: the record of another platform comes here, compared value by value."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mainspring.cli.printing import Verb, print_fields, print_json, print_next, print_table, wants_json

if TYPE_CHECKING:
    from mainspring.sdk.imports import Source
    from mainspring.sdk.likeness import Imported

_EVERY_S = 5.0
"""Elsewhere than on a terminal a line of progress comes so often."""

_MOST_SHOWN = 20


@click.command(
    "import",
    answer="mainspring.sdk.likeness:Imported",
    cls=Verb,
    untried="what is there is only read, and what came before is not brought twice",
    epilog="Examples: mainspring import mlflow http://127.0.0.1:5000 · "
    "mainspring import mlflow https://ml.example.org --experiment churn · mainspring import mlflow backup/",
)
@click.argument("kind", type=click.Choice(["mlflow"]))
@click.argument("place", metavar="URL|FOLDER")
@click.option("--experiment", "experiments", multiple=True, metavar="NAME", help="Only this one; may be repeated.")
@click.option("--no-files", is_flag=True, help="Leave artifacts where they are.")
def command(kind: str, place: str, experiments: tuple[str, ...], no_files: bool) -> None:
    """Bring experiments, runs with their whole history, logged and registered models from a server or folder.

    Runs keep their ids. The same again goes on where it was, and compares what came before. Who asks there is told
    by MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
    """
    del kind
    from mainspring.sdk.client import get_client
    from mainspring.sdk.imports import Importer

    done = Importer(_open_source(place), get_client(), make_teller(), files=not no_files).run(experiments)
    if wants_json():
        print_json(done)
    else:
        _print(done)
    if done.different:
        sys.exit(1)


def is_url(place: str) -> bool:
    """Tell whether a place is the address of a server, and no folder."""
    return "://" in place


def _open_source(place: str) -> Source:
    if is_url(place):
        from mainspring.sdk.mlflowserver import MlflowServer

        return MlflowServer(place)
    from mainspring.sdk.recordfolder import RecordFolder

    return RecordFolder(Path(place))


def make_teller() -> Callable[[str], None]:
    """Return what tells on standard error how far it is: on a terminal in one line, elsewhere now and then."""
    told_at = time.monotonic()

    def tell(line: str) -> None:
        nonlocal told_at
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{line}", err=True, nl=False)
        elif time.monotonic() - told_at > _EVERY_S:
            told_at = time.monotonic()
            click.echo(line, err=True)

    return tell


def _print(done: Imported) -> None:
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)
    names = ("runs", "params", "tags", "points", "datasets", "files", "bytes", "models", "registered", "versions")
    rows = [(name, f"{getattr(done.there, name):,}", f"{getattr(done.here, name):,}") for name in names]
    rows.append(("digest", done.there.digest[:12], done.here.digest[:12]))
    print_fields({"from": done.source, "experiments": ", ".join(done.experiments), "known before": done.known})
    click.echo()
    print_table(("", "there", "here"), rows)
    for what, lines in (("different", done.different), ("left out", done.left_out)):
        for line in lines[:_MOST_SHOWN]:
            click.echo(f"{what}: {line}")
        if len(lines) > _MOST_SHOWN:
            click.echo(f"{what}: {len(lines) - _MOST_SHOWN:,} more, with --json")
    print_next('mainspring runs "state = succeeded"')
