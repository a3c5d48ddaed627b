"""Lists in pages: how much is asked for at once, and where the next page begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace

from mainspring.domain import access, gates, messages, planning, registry, searches, triggers, upkeep
from mainspring.domain.command import Command
from mainspring.domain.errors import Invalid

T = TypeVar("T")

MOST = 10_000
"""Items in one answer, at most; over HTTP fewer."""


class Pages(NamedTuple):
    """How a list goes on.

    Attributes
    ----------
    field : str
        Of the command: it names the last item of the page before.
    key : str
        Of an item: what names it.
    most : int
        Items in one answer, at most.
    """

    field: str
    key: str
    most: int = MOST


PAGES: dict[type[Command], Pages] = {
    messages.SearchRuns: Pages("page", "", 1_000),
    messages.ListRuns: Pages("page", "id"),
    messages.ListVersions: Pages("page", "id"),
    messages.ListServices: Pages("page", "id"),
    triggers.ListPipelines: Pages("page", "name"),
    gates.ListGates: Pages("page", "name"),
    registry.ListModels: Pages("page", "id"),
    messages.ListAlarms: Pages("page", "id"),
    messages.ListRenewals: Pages("page", "id"),
    messages.ListEvents: Pages("after", "seq"),
    searches.FindRuns: Pages("page", "", searches.MOST_RUNS),
    upkeep.ListDeleted: Pages("page", "id"),
    access.ListProjects: Pages("page", "name"),
    access.ListUsers: Pages("page", "name"),
    access.ListTokens: Pages("page", "id"),
    access.ListSecrets: Pages("page", "name"),
    access.ListAudit: Pages("after", "seq"),
    planning.ListStays: Pages("page", "id", 2_000),
}
"""The commands that are answered in pages."""


def check_limit(command: Command) -> None:
    """Refuse a list that asks for nothing, or for more than one answer holds.

    Raises
    ------
    Invalid
        API-025.
    """
    pages = PAGES.get(type(command))
    if pages is None:
        return
    limit: int = getattr(command, "limit")  # noqa: B009 - each command of the table has one
    if not 1 <= limit <= pages.most:
        what = f"{type(command).__name__} asks for {limit:,} at once; from 1 to {pages.most:,} are given"
        raise Invalid("API-025", what, limit=limit, most=pages.most)


def follow(command: Command, answer: Any) -> Command | None:
    """Return the command that asks for the next page; None when this was the last, or there are no pages.

    Parameters
    ----------
    command : Command
        What was asked.
    answer : list or RunPage
        What was answered.

    Examples
    --------
    >>> follow(access.ListProjects(limit=2), [access.Project("air"), access.Project("rail")])
    ListProjects(limit=2, page='rail')
    >>> follow(access.ListProjects(limit=2), [access.Project("rail")])
    """
    pages = PAGES.get(type(command))
    if pages is None:
        return None
    if isinstance(answer, messages.RunPage | searches.FoundRuns):
        return None if answer.next is None else replace(command, page=answer.next)
    if len(answer) < command.limit:  # type: ignore[attr-defined]
        return None
    return replace(command, **{pages.field: getattr(answer[-1], pages.key)})


def read_all(ask: Callable[[Command], Any], command: Command) -> Iterator[Any]:
    """Yield every item of a list, page after page.

    Parameters
    ----------
    ask : callable
        Asks the owner; `Client.ask`.
    command : Command
        Asks for the first page.
    """
    following: Command | None = command
    while following is not None:
        answer = ask(following)
        yield from answer.runs if isinstance(answer, messages.RunPage | searches.FoundRuns) else answer
        following = follow(following, answer)


def cut(items: Sequence[T], command: Any) -> list[T]:
    """Return the page of a list that is known as a whole.

    Parameters
    ----------
    items : sequence
        All of it, in order.
    command : Command
        With `limit` and `page`.

    Raises
    ------
    Invalid
        RUN-013 when the page names nothing in the list.
    """
    begin = 0
    if command.page:
        names = [getattr(each, PAGES[type(command)].key) for each in items]
        if command.page not in names:
            raise refuse_page(command.page)
        begin = names.index(command.page) + 1
    return list(items[begin : begin + command.limit])


def refuse_page(page: str) -> Invalid:
    """Return the refusal of a page that a list does not have."""
    return Invalid("RUN-013", f"{page[:40]!r} is no page of what is asked for")
