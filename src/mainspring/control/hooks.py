"""Hooks: calls from outside that start a pipeline."""

from __future__ import annotations

from msgspec.structs import replace

from mainspring.control.secrets import open_secret
from mainspring.control.standings import note_outcome
from mainspring.control.triggers import advance
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.errors import MainspringError
from mainspring.domain.triggers import MOST_BODY_BYTES, Happening, Received, ReceiveHook, Standing
from mainspring.security.signatures import is_signed
from mainspring.store import triggers as store

_MOST_KNOWN = 200
"""Ids of messages that a hook remembers, so that one that comes again starts nothing."""


@handles(ReceiveHook, action="hooks.receive")
def receive_hook(turn: Turn, command: ReceiveHook) -> Received:
    """Start what waits for a call, if it is signed; whoever is not believed is told nothing more."""
    standing = store.list_triggers(turn.connection, project=turn.project)
    mine = [each for each in standing if each.event == "webhook" and each.pipeline == command.pipeline]
    hook = next((each for each in mine if each.match["name"] == command.name), None)
    if hook is None or len(command.body) > MOST_BODY_BYTES:
        return Received(accepted=False)
    try:
        secret = open_secret(turn, hook.match["secret"])
        believed = is_signed(secret, command.headers, command.body, turn.now())
    except MainspringError as fault:
        note_outcome(turn, hook, f"{fault.code}: {fault.what}")
        return Received(accepted=False)
    if believed and _remember(turn, hook, command.headers):
        body = {"media_type": command.media_type, "text": command.body.decode("utf-8", "replace")}
        happening = Happening("webhook", {}, f"call of {command.name}", turn.now(), turn.now(), body, trigger=hook.id)
        others = store.list_triggers(turn.connection, project=turn.project)
        advance(turn, turn.project, [each for each in others if each.event != "alarm"], [happening])
    return Received(accepted=believed)


def _remember(turn: Turn, hook: Standing, headers: dict[str, str]) -> bool:
    """Keep the id of a message; tell whether it is new, as one without a signed id always is."""
    identity = headers.get("webhook-id", "") if "webhook-signature" in headers else ""
    known = list(hook.seen or ())
    if not identity or identity in known:
        return not identity
    store.save_trigger(turn.connection, hook, replace(hook, seen=[*known, identity][-_MOST_KNOWN:]))
    return True
