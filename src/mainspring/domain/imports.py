"""Messages by which a record of elsewhere comes into this one with the ids that it had there."""

from __future__ import annotations

from typing import Any

from mainspring.domain.command import Command, Time
from mainspring.domain.experiments import LoggedRun, Number
from mainspring.domain.loggedmodels import LoggedModel, State

IMPORTED = "mainspring.imported"
"""Tag of a run or model that came from elsewhere: as what it came, so that it need not come again."""


class ImportRun(Command):
    """Make a run under the id that it had elsewhere, or answer with the one that came before; nobody watches it."""

    run_id: str
    experiment: Number
    name: str = ""
    started_at: Time = 0.0


class ImportLoggedModel(Command):
    """Make a logged model under the id that it had elsewhere, or answer with the one that came before."""

    model_id: str
    experiment: Number
    name: str
    kind: str = ""
    run_id: str | None = None
    state: State = "pending"
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    created_at: Time = 0.0
    changed_at: Time = 0.0


ANSWERS: dict[type[Command], Any] = {
    ImportRun: LoggedRun,
    ImportLoggedModel: LoggedModel,
}
