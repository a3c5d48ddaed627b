"""Handles: what a reference names, found at its first use and held from then on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Literal, Self

from mainspring.domain.lineage import GetLineage, Lineage
from mainspring.domain.records import Version
from mainspring.domain.references import parse_reference
from mainspring.domain.upkeep import Deleted, DeleteVersions, RestoreVersions
from mainspring.sdk.lineage import current_client

_leaving: ContextVar[dict[str, None] | None] = ContextVar("mainspring_leaving", default=None)


@contextmanager
def note_datasets() -> Iterator[dict[str, None]]:
    """Collect the references of datasets whose handles are pickled inside, wherever they stand in what travels."""
    noted: dict[str, None] = {}
    token = _leaving.set(noted)
    try:
        yield noted
    finally:
        _leaving.reset(token)


class Handle(ABC):
    """A handle on one version of an asset; nothing is asked before it is needed.

    Parameters
    ----------
    reference : str
        ``name`` (the latest version), ``name@12``, ``name@alias`` or ``name@2026-11-01``.

    Raises
    ------
    Invalid
        DATA-001 when the reference is none.

    Notes
    -----
    It travels to other processes pinned: they see the version that it stands for here.
    """

    _kind: ClassVar[Literal["dataset", "model"]]

    def __init__(self, reference: str) -> None:
        parse_reference(reference, self._kind)
        self._reference = reference
        self._version: Version | None = None

    @classmethod
    def of(cls, version: Version) -> Self:
        """Return the handle of a version that is known already."""
        handle = cls(version.reference)
        handle._version = version
        return handle

    @property
    def version(self) -> Version:
        """The version, with its details.

        Raises
        ------
        NotFound
            DATA-002 or MODEL-001 when the reference names none.
        """
        if self._version is None:
            self._version = self._find(self._reference)
        return self._version

    @property
    def name(self) -> str:
        """The asset's name."""
        return parse_reference(self._reference, self._kind).name

    @property
    def reference(self) -> str:
        """The pinned reference, ``name@12``."""
        return self.version.reference

    def delete(self, *, all: bool = False, dry_run: bool = False) -> list[str]:  # noqa: A002 - the word of the verb
        """Hide the version, as long as nothing needs it; it can be restored until it is purged.

        Parameters
        ----------
        all : bool, default False
            Every version of the name.
        dry_run : bool, default False
            Only tell.

        Returns
        -------
        list of str
            What is hidden now, as pinned references.

        Raises
        ------
        Conflict
            KEEP-002 when an alias, a service, a renewal or a live run needs it.
        NotFound
            DATA-002 or MODEL-001 when the reference names none.
        """
        reference = self.name if all else self.reference
        asked = DeleteVersions(kind=self._kind, reference=reference, all=all, dry_run=dry_run)
        done: Deleted = current_client().ask(asked)
        return [each.reference for each in done.deletions]

    def restore(self, *, all: bool = False) -> list[str]:  # noqa: A002
        """Show the version again that the reference names by its number, or every one of the name.

        Returns
        -------
        list of str
            What is there again, as pinned references.

        Raises
        ------
        Invalid
            KEEP-001 when the reference has no number.
        Conflict
            KEEP-003 when it was purged.
        NotFound
            DATA-002, MODEL-001 or KEEP-004 when there is nothing to restore.
        """
        asked = RestoreVersions(kind=self._kind, reference=self.name if all else self._reference, all=all)
        found: list[Version] = current_client().ask(asked)
        return [each.reference for each in found]

    def lineage(self) -> Lineage:
        """Return where the version comes from and what saw it, however many datasets lie between.

        Returns
        -------
        Lineage
            `datasets` that it was made of, `models` that saw it in training, `verdicts` of gates and `services`.

        Examples
        --------
        >>> [each.reference for each in ms.Dataset("orders@3").lineage().models]  # doctest: +SKIP
        """
        found: Lineage = current_client().ask(GetLineage(kind=self._kind, reference=self.reference))
        return found

    @abstractmethod
    def _find(self, reference: str) -> Version:
        """Ask which version a reference names; what reading it means is the asset's own."""

    def __mainspring_digest__(self) -> str:
        """Return what the content is, for the fingerprint of a step."""
        return f"{self._kind} {self.name} {self.version.digest}"

    def __reduce__(self) -> tuple[Any, ...]:
        noted = _leaving.get()
        if noted is not None and self._kind == "dataset":
            noted[self.reference] = None
        return type(self), (self.reference,)

    def __repr__(self) -> str:
        known = self._version
        return f"{type(self).__name__}({(known.reference if known else self._reference)!r})"
