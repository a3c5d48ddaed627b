"""Messages about lineage: what a version was made of, and what was made of it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.domain.command import Command
from mainspring.domain.records import Verdict, Version

MOST_TOLD = 1_000
"""So many versions of a kind are told, the newest."""


class GetLineage(Command):
    """Where a version of a dataset or model comes from and what saw it, however many datasets lie between."""

    kind: Literal["dataset", "model"]
    reference: str


class Lineage(msgspec.Struct):
    """Both directions from one version; at most 1,000 of each, the newest first.

    Attributes
    ----------
    datasets : list of Version
        What it was made of: for a model what training saw, for a dataset what lies before it.
    models : list of Version
        What saw it in training, itself or in a dataset that was made of it.
    verdicts : list of Verdict
        Of a model: what gates said of it. Of a dataset: what it judged, which is no training.
    services : list of str
        Those that serve it, and of a dataset those that serve a model which saw it.
    """

    version: Version
    datasets: list[Version] = []
    models: list[Version] = []
    verdicts: list[Verdict] = []
    services: list[str] = []


ANSWERS: dict[type[Command], Any] = {GetLineage: Lineage}
