"""Messages about registered models: names with or without versions, and what is noted on them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.domain.command import Command, Count
from mainspring.domain.errors import Invalid
from mainspring.domain.records import Run, Version

Stage = Literal["", "Staging", "Production", "Archived"]

MOST_TAG_NAME = 250
MOST_TAG = 100_000
MOST_DESCRIPTION = 5_000
"""Characters of a tag's name, of its value, and of a description, at most; MLflow's numbers."""


class RegisteredModel(msgspec.Struct):
    """A name under which versions of a model are registered.

    Attributes
    ----------
    changed_at : float
        When its description, tags or name last changed, or a version came or went.
    aliases : dict of str to int
        Alias -> number of the version that it points at.
    newest : list of Version
        The newest version that is there, and of each stage of MLflow's protocol the newest, by number.
    """

    id: str
    project: str
    name: str
    description: str = ""
    tags: dict[str, str] = {}
    created_at: float = 0.0
    changed_at: float = 0.0
    aliases: dict[str, int] = {}
    newest: list[Version] = []

    @property
    def latest(self) -> Version | None:
        """The newest version that is there."""
        return self.newest[-1] if self.newest else None


class RegisterModel(Command):
    """Make a name without versions; one that is there is a conflict (MODEL-050)."""

    name: str
    description: str = ""
    tags: dict[str, str] = {}


class GetModel(Command):
    """One registered model by name."""

    name: str


class ListModels(Command):
    """Registered models, the newest first; `page` is the id of the last one before."""

    limit: Count = 100
    page: str = ""


class DescribeModel(Command):
    """Change what is noted on a model, or with `number` on one of its versions.

    Attributes
    ----------
    description : str or None
        None: it stays.
    tags : dict of str to str
        Set beside those that are there.
    untag : list of str
        Names of tags to remove; what is not there is no fault.
    """

    name: str
    number: Count = 0
    description: str | None = None
    tags: dict[str, str] = {}
    untag: list[str] = []


class RenameModel(Command):
    """Give a model another name; versions, aliases, verdicts and gates go with it."""

    name: str
    to: str


class DropAlias(Command):
    """Take an alias away; a gated one by force only."""

    name: str
    alias: str
    reason: str = ""
    force: bool = False


class StageVersion(Command):
    """Set a version's stage of MLflow's protocol; a gate that is declared for its name binds it as an alias.

    Attributes
    ----------
    archive : bool
        Move the other versions of that stage to Archived.
    """

    name: str
    number: Count
    stage: Stage
    archive: bool = False


class AddVersion(Command):
    """Register what was logged as one more version: its files, wherever they lie in this record, are the version's.

    Attributes
    ----------
    source : str
        ``runs:/RUN/PATH``, ``models:/m-ID``, ``models:/NAME/NUMBER`` or ``mlflow-artifacts:/...``.
    run_id, model_id : str
        Whose files these must be; empty: whoever's they are.
    link : str
        Where else the run can be seen, as clients tell it.
    """

    name: str
    source: str
    run_id: str = ""
    model_id: str = ""
    link: str = ""
    description: str = ""
    tags: dict[str, str] = {}


class ProveModel(Command):
    """Have a worker load a version, answer its example and compare its forms; answers with the run."""

    reference: str


class SearchModels(Command):
    """A page of the registered models that a filter of MLflow's holds for; see `mainspring.domain.grammars`.

    Attributes
    ----------
    order_by : tuple of str
        Each ``key``, ``key ASC`` or ``key DESC``; then by name.
    limit : int
        From 1 to 1,000.
    page : str
        `ModelPage.next` of the page before; of another search it is refused (RUN-013).
    """

    filter: str = ""
    order_by: tuple[str, ...] = ()
    limit: Count = 100
    page: str = ""


class SearchVersions(Command):
    """As `SearchModels`, of versions; what the order leaves open goes by name and number, the newest first."""

    filter: str = ""
    order_by: tuple[str, ...] = ()
    limit: Count = 100
    page: str = ""


class ModelPage(msgspec.Struct, frozen=True):
    """A part of a search's models, and what names the next one; None: this is the last."""

    models: list[RegisteredModel]
    next: str | None = None


class VersionPage(msgspec.Struct, frozen=True):
    """A part of a search's versions, and what names the next one; None: this is the last."""

    versions: list[Version]
    next: str | None = None


ANSWERS: dict[type[Command], Any] = {
    RegisterModel: RegisteredModel,
    GetModel: RegisteredModel,
    ListModels: list[RegisteredModel],
    DescribeModel: RegisteredModel,
    RenameModel: RegisteredModel,
    DropAlias: RegisteredModel,
    StageVersion: Version,
    AddVersion: Version,
    ProveModel: Run,
    SearchModels: ModelPage,
    SearchVersions: VersionPage,
}


def check_notes(description: str | None, tags: dict[str, str]) -> None:
    """Refuse notes that the record does not keep.

    Raises
    ------
    Invalid
        MODEL-051.
    """
    if description is not None and len(description) > MOST_DESCRIPTION:
        raise Invalid("MODEL-051", f"a description of {len(description):,} characters, above {MOST_DESCRIPTION:,}")
    for name, value in tags.items():
        if not 0 < len(name) <= MOST_TAG_NAME or not name.isprintable():
            raise Invalid("MODEL-051", f"{name!r:.300} is no name of a tag: 1 to {MOST_TAG_NAME} printable characters")
        if len(value) > MOST_TAG:
            raise Invalid("MODEL-051", f"the tag {name} has {len(value):,} characters, above {MOST_TAG:,}")
