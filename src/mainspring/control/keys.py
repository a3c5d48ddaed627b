"""Use cases of data keys: made and handed out to whoever may read what is sensitive, wrapped by the home's key."""

from __future__ import annotations

import secrets
from functools import partial

from mainspring.control.secrets import name_purpose
from mainspring.control.sites import check_key
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import access
from mainspring.domain.access import DataKey, Rotated
from mainspring.domain.errors import NotFound
from mainspring.security import envelopes
from mainspring.security.ciphers import KEY_BYTES
from mainspring.store import keys
from mainspring.store import secrets as kept_secrets


@handles(access.MakeDataKey, action="sensitive.read", kept=False)
def make_data_key(turn: Turn, command: access.MakeDataKey) -> DataKey:
    """Answer with the key of a name, or with a new one.

    Who has a key can read what it seals, so making one needs the right to read.

    Raises
    ------
    Denied
        POOL-008 for a worker in a pool that may not hold what is sensitive.
    """
    check_key(turn)
    found = keys.find_key(turn.connection, turn.project, name=command.name) if command.name else None
    if found is not None:
        return _open(turn, found)
    made = DataKey(turn.new_id(), secrets.token_bytes(KEY_BYTES))
    envelope = envelopes.open_keyring(turn.home).seal(made.key, _purpose(turn.project, made.id))
    kept = keys.KeptKey(made.id, turn.project, envelope)
    keys.add_key(turn.connection, kept, command.name or None, str(turn.actor), turn.now())
    turn.audit("sensitive.seal", command.name or made.id, after={"key": made.id, "run": turn.actor.run_id})
    return made


@handles(access.UseDataKey, action="sensitive.read", kept=False)
def use_data_key(turn: Turn, command: access.UseDataKey) -> DataKey:
    """Answer with a key.

    Raises
    ------
    NotFound
        SECRET-006 when the project has no such key, or it was destroyed.
    Denied
        SECRET-003 when the key that wraps it is not here; POOL-008 for a worker where it may not be.
    """
    check_key(turn)
    found = keys.find_key(turn.connection, turn.project, id=command.id)
    if found is None:
        raise NotFound("SECRET-006", f"project {turn.project!r} has no data key {command.id}", key=command.id)
    return _open(turn, found)


@handles(access.RotateKeys, action="secrets.rotate")
def rotate_keys(turn: Turn, command: access.RotateKeys) -> Rotated:
    """Wrap every data key with a new key, in one transaction; then the old keys go.

    A home that gets its keys from the environment is given the new one there first.
    """
    del command
    own = envelopes.has_own_keys()
    if own:
        envelopes.add_key(turn.home)
    keyring = envelopes.open_keyring(turn.home)
    sealed = kept_secrets.list_envelopes(turn.connection)
    for seq, project, name, envelope in sealed:
        kept_secrets.set_envelope(turn.connection, seq, keyring.rewrap(envelope, name_purpose(project, name)))
    wrapped = keys.list_keys(turn.connection)
    for each in wrapped:
        rewrapped = keyring.rewrap(each.envelope, _purpose(each.project, each.id))
        keys.set_envelope(turn.connection, each.id, rewrapped)
    if own:
        turn.after_commit(partial(envelopes.drop_keys, turn.home))
    count = len(sealed) + len(wrapped)
    turn.audit("secrets.rotate", keyring.current.hex(), after={"envelopes": count}, home=True)
    return Rotated(count, keyring.current.hex())


def _open(turn: Turn, kept: keys.KeptKey) -> DataKey:
    key = envelopes.open_keyring(turn.home).open(kept.envelope, _purpose(kept.project, kept.id))
    turn.audit("sensitive.read", kept.id, after={"run": turn.actor.run_id})
    return DataKey(kept.id, key)


def _purpose(project: str, id: str) -> str:  # noqa: A002
    return f"key:{project}:{id}"
