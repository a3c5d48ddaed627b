"""Use cases of secrets: kept in envelopes, opened only for a run that is under way."""

from __future__ import annotations

import re

from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import access
from mainspring.domain.access import SecretEntry, SecretValue
from mainspring.domain.errors import Denied, Invalid, NotFound
from mainspring.domain.lists import cut
from mainspring.security import envelopes
from mainspring.security.masks import LEAST_CHARACTERS
from mainspring.store import runs, secrets

MOST_BYTES = 65_536
"""Of a value."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}\Z")


@handles(access.AddSecret, action="secrets.write")
def add_secret(turn: Turn, command: access.AddSecret) -> SecretEntry:
    """Keep a secret, or replace its value.

    Raises
    ------
    Invalid
        SECRET-004 when name or value cannot be kept; the value is not repeated.
    """
    content = command.value.encode()
    if not _NAME.match(command.name):
        raise Invalid("SECRET-004", f"{command.name!r} is no name of a secret", name=command.name)
    if not LEAST_CHARACTERS <= len(content) <= MOST_BYTES:
        raise Invalid("SECRET-004", f"the value of {command.name} has {len(content):,} bytes", name=command.name)
    before = secrets.find_secret(turn.connection, turn.project, command.name)
    now = turn.now()
    entry = SecretEntry(command.name, turn.project, str(turn.actor), now, now)
    envelope = envelopes.open_keyring(turn.home).seal(content, name_purpose(turn.project, command.name))
    secrets.put_secret(turn.connection, entry, envelope)
    turn.audit("secrets.write", command.name, before=before, after={"changed_at": now})
    return find_secret(turn, command.name)


@handles(access.ListSecrets, action="secrets.read", reads=True)
def list_secrets(turn: Turn, command: access.ListSecrets) -> list[SecretEntry]:
    """Answer with the secrets of the project, without their values."""
    return cut(secrets.list_secrets(turn.connection, turn.project), command)


@handles(access.GetSecret, action="secrets.read", reads=True)
def get_secret(turn: Turn, command: access.GetSecret) -> SecretEntry:
    """Answer with what is known of one secret."""
    return find_secret(turn, command.name)


@handles(access.RemoveSecret, action="secrets.write", rehearsed=True)
def remove_secret(turn: Turn, command: access.RemoveSecret) -> SecretEntry:
    """Forget a secret."""
    before = find_secret(turn, command.name)
    secrets.remove_secret(turn.connection, turn.project, command.name)
    turn.audit("secrets.remove", command.name, before=before)
    return before


@handles(access.UseSecret, action="secrets.use", kept=False)
def use_secret(turn: Turn, command: access.UseSecret) -> SecretValue:
    """Answer with a value, to the attempt that holds a run of the project.

    Raises
    ------
    Denied
        SECRET-002 when that attempt is not under way.
    NotFound
        SECRET-001.
    """
    held = runs.find_held(turn.connection, command.run_id)
    run = held[0] if held else None
    if (
        run is None
        or run.project != turn.project
        or run.state != "running"
        or (run.attempt, run.fence) != (command.attempt, command.fence)
    ):
        raise Denied("SECRET-002", f"the attempt that asks for {command.name} is not under way", run=command.run_id)
    value = open_secret(turn, command.name)
    turn.audit("secrets.use", command.name, after={"run": run.id, "attempt": run.attempt})
    return SecretValue(value)


def open_secret(turn: Turn, name: str) -> str:
    """Return the value of a secret of the project; whoever calls it answers for who is told.

    Raises
    ------
    NotFound
        SECRET-001.
    Denied
        SECRET-003 when its key is not here.
    """
    find_secret(turn, name)
    envelope = secrets.read_envelope(turn.connection, turn.project, name)
    assert envelope is not None
    return envelopes.open_keyring(turn.home).open(envelope, name_purpose(turn.project, name)).decode()


def find_secret(turn: Turn, name: str) -> SecretEntry:
    """Return what is known of a secret of the project.

    Raises
    ------
    NotFound
        SECRET-001.
    """
    entry = secrets.find_secret(turn.connection, turn.project, name)
    if entry is None:
        names = [each.name for each in secrets.list_secrets(turn.connection, turn.project)]
        near = turn.suggest("secrets.read", name, names)
        raise NotFound("SECRET-001", f"project {turn.project!r} has no secret {name!r}", fix=near, name=name)
    return entry


def name_purpose(project: str, name: str) -> str:
    """Return what the envelope of a secret is for."""
    return f"secret:{project}:{name}"
