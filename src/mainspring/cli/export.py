"""``mainspring export``: runs go to another platform, compared when they are there."""

from __future__ import annotations

import sys

import click

from mainspring.cli.imports import make_teller
from mainspring.cli.printing import Verb, print_fields, print_json, wants_json


@click.command(
    "export",
    answer="mainspring.sdk.exports:Exported",
    cls=Verb,
    epilog="Example: mainspring export mlflow http://127.0.0.1:5000 --experiment churn",
)
@click.argument("kind", type=click.Choice(["mlflow"]))
@click.argument("url")
@click.option("--experiment", "experiments", multiple=True, metavar="NAME", help="Only this one; may be repeated.")
def command(kind: str, url: str, experiments: tuple[str, ...]) -> None:
    """Bring experiments, runs with their whole history and their files to an MLflow server.

    The server gives ids of its own; the tag mainspring.run_id tells ours. The same again brings what is new or has
    changed. Who asks there is told by MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
    """
    del kind
    from mainspring.sdk.client import get_client
    from mainspring.sdk.exports import Exporter
    from mainspring.sdk.mlflowserver import MlflowServer

    done = Exporter(MlflowServer(url), get_client(), make_teller()).run(experiments)
    if wants_json():
        print_json(done)
    else:
        if sys.stderr.isatty():
            click.echo("\r\x1b[K", err=True, nl=False)
        counts = {name: f"{getattr(done, name):,}" for name in ("runs", "params", "points", "files", "bytes", "known")}
        lists = {name: "\n".join(getattr(done, name)) for name in ("different", "left_out")}
        print_fields({"to": done.target, "experiments": ", ".join(done.experiments), **counts, **lists})
    if done.different:
        sys.exit(1)
