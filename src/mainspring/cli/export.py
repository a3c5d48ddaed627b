"""``mainspring export``: runs and models go to another platform or a folder, compared when they are there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mainspring.cli.imports import is_url, make_teller
from mainspring.cli.printing import Verb, print_fields, print_json, wants_json

if TYPE_CHECKING:
    from mainspring.sdk.client import Client
    from mainspring.sdk.exports import Target

_COUNTS = ("runs", "params", "points", "models", "registered", "versions", "files", "bytes", "known")


@click.command(
    "export",
    answer="mainspring.sdk.exports:Exported",
    cls=Verb,
    epilog="Examples: mainspring export mlflow http://127.0.0.1:5000 --experiment churn · "
    "mainspring export mlflow backup/",
)
@click.argument("kind", type=click.Choice(["mlflow"]))
@click.argument("place", metavar="URL|FOLDER")
@click.option("--experiment", "experiments", multiple=True, metavar="NAME", help="Only this one; may be repeated.")
def command(kind: str, place: str, experiments: tuple[str, ...]) -> None:
    """Bring experiments, runs with their whole history, logged and registered models with their files elsewhere.

    A server of MLflow's gives ids of its own; the tag mainspring.run_id tells ours. A folder keeps ids, and `mainspring
    import mlflow FOLDER` reads it. The same again brings what is new or has changed. Who asks a server is told by
    MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
    """
    del kind
    from mainspring.sdk.client import get_client
    from mainspring.sdk.exports import Exporter

    client = get_client()
    done = Exporter(_open_target(place, client), client, make_teller()).run(experiments)
    if wants_json():
        print_json(done)
    else:
        if sys.stderr.isatty():
            click.echo("\r\x1b[K", err=True, nl=False)
        counts = {name: f"{getattr(done, name):,}" for name in _COUNTS}
        lists = {name: "\n".join(getattr(done, name)) for name in ("different", "left_out")}
        print_fields({"to": done.target, "experiments": ", ".join(done.experiments), **counts, **lists})
    if done.different:
        sys.exit(1)


def _open_target(place: str, client: Client) -> Target:
    if is_url(place):
        from mainspring.sdk.exportserver import ServerTarget
        from mainspring.sdk.mlflowserver import MlflowServer

        return ServerTarget(MlflowServer(place), client)
    from mainspring.sdk.exportfolder import FolderTarget

    return FolderTarget(Path(place), client)
