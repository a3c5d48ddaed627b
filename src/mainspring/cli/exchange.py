"""``mainspring models push`` and ``pull``: a model to another server, or from it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from mainspring.cli.offering import offer
from mainspring.cli.printing import print_fields, print_json, print_next, wants_json
from mainspring.cli.texts import shorten_id
from mainspring.domain.messages import Promote
from mainspring.domain.principals import DEFAULT_PROJECT
from mainspring.domain.records import Version

if TYPE_CHECKING:
    from mainspring.sdk.client import Client

_UNTRIED = "what has arrived stays; asked again, nothing is sent twice"


def add_exchange(group: click.Group) -> None:
    """Give the models their ``push`` and ``pull``."""

    @group.command("push", answer=Version, untried=_UNTRIED)
    @click.argument("reference", shell_complete=offer("model"))
    @click.argument("url")
    @_with_place
    @click.option("--promote", "alias", metavar="ALIAS", help="Run the gate of this alias there, and wait for it.")
    @click.option("--data", metavar="REFERENCE", help="With --promote: a dataset version of that server.")
    @click.pass_context
    def push(
        context: click.Context,
        reference: str,
        url: str,
        project: str,
        certificate: str,
        alias: str | None,
        data: str | None,
    ) -> None:
        """Bring a version to the server at URL, with evidence and lineage.

        The token is the login's if URL is where you work, else read from standard input or asked for. What gates
        said here is told there and lets nothing through: the gates of that server judge on data of their own.
        Refused by the gate there, the version has arrived all the same; exit 5.
        """
        from mainspring.cli.promote import REFUSED, judge
        from mainspring.sdk.client import get_client
        from mainspring.sdk.exchange import send_model

        if (alias is None) is not (data is None):
            raise click.UsageError("--promote and --data go together")
        with _visit(url, certificate, project) as there:
            here = get_client()
            arrived = send_model(reference, here, there, place=_name(here))
            if alias is not None and data is not None:
                verdict, run = judge(there.ask, Promote(arrived.reference, alias, data, f"pushed as {reference}"))
                click.echo(f"{verdict}  ({arrived.name}@{alias} there, run {shorten_id(run.id)})", err=True)
        _tell(arrived, url)
        if alias is not None and not verdict.passed:
            context.exit(REFUSED)

    @group.command("pull", answer=Version, untried=_UNTRIED)
    @click.argument("reference")
    @click.argument("url")
    @_with_place
    def pull(reference: str, url: str, project: str, certificate: str) -> None:
        """Bring a version from the server at URL, as push does the other way."""
        from mainspring.sdk.client import get_client
        from mainspring.sdk.exchange import send_model

        with _visit(url, certificate, project) as there:
            arrived = send_model(reference, there, get_client(), place=url.rstrip("/"))
        _tell(arrived, "")


def _with_place(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("--certificate", default="", help="SHA-256 of its certificate, or an authority's file.")(
        function
    )
    return click.option("--of", "project", default=DEFAULT_PROJECT, show_default=True, help="Project there.")(function)


@contextmanager
def _visit(url: str, certificate: str, project: str) -> Iterator[Client]:
    from mainspring.cli.login import read_token
    from mainspring.sdk.logins import read_login
    from mainspring.sdk.remote import RemoteClient

    kept = read_login()
    url = url.rstrip("/")
    if kept is not None and kept.url == url:
        client = RemoteClient(url, kept.token, certificate or kept.certificate, project=project)
    else:
        client = RemoteClient(url, read_token(), certificate, project=project)
    try:
        yield client
    finally:
        client.close()


def _name(client: Client) -> str:
    return str(getattr(client, "url", "")) or f"a home on {platform.node()}"


def _tell(version: Version, url: str) -> None:
    """Print a version that has arrived, at a server or here."""
    if wants_json():
        print_json(version)
        return
    details: dict[str, Any] = version.details if isinstance(version.details, dict) else {}
    origin = details.get("origin") or {}
    print_fields(
        {
            "model": version.reference,
            "digest": version.digest,
            "at": url.rstrip("/") or None,
            "from": f"{origin['reference']} of {origin['place']}"
            if origin
            else f"nowhere else: it was made {'there' if url else 'here'}",
            "verdicts told": len(origin.get("verdicts", ())),
        }
    )
    if not url:
        print_next(f"mainspring models show {version.reference} --card")
