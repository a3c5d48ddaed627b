"""Messages about logged models: what MLflow's clients log before it is registered."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.domain.command import Command


class LoggedModel(msgspec.Struct, frozen=True):
    """A model as it was logged; its files are those of its id.

    Attributes
    ----------
    id : str
        32 hexadecimal characters; MLflow's clients write ``m-`` before them.
    project : str
        Its project.
    experiment : str
        Name of the experiment that it belongs to.
    name : str
        As it was logged.
    kind : str
        MLflow's model type, such as ``LLM``; mostly empty.
    run_id : str or None
        The run that logged it.
    state : str
        ``pending``, ``ready`` or ``failed``.
    message : str
        Why it failed.
    params, tags : dict of str to str
        As logged.
    created_at, changed_at : float
        Seconds since 1970 UTC.
    """

    id: str
    project: str
    experiment: str
    name: str
    kind: str = ""
    run_id: str | None = None
    state: str = "pending"
    message: str = ""
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    created_at: float = 0.0
    changed_at: float = 0.0


ANSWERS: dict[type[Command], Any] = {}
