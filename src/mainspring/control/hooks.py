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
from mainspring.security.signatures import identify, is_signed
from mainspring.store import triggers as store

_MOST_KNOWN = 1000
"""Calls that a hook remembers: more than it takes in ten minutes (TRIGGER-008), so that no storm makes it forget."""


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
    if not believed:
        return Received(accepted=False)
    if not _remember(turn, hook, command):
        return Received(accepted=True, repeated=True)
    body = {"media_type": command.media_type, "text": command.body.decode("utf-8", "replace")}
    happening = Happening("webhook", {}, f"call of {command.name}", turn.now(), turn.now(), body, trigger=hook.id)
    others = store.list_triggers(turn.connection, project=turn.project)
    advance(turn, turn.project, [each for each in others if each.event != "alarm"], [happening])
    return Received(accepted=True)


def _remember(turn: Turn, hook: Standing, command: ReceiveHook) -> bool:
    """Tell whether a call is new, and know it when it comes again; one that does is counted as passed."""
    now = turn.now()
    identity, until = identify(command.headers, command.body, now)
    seen = hook.seen if isinstance(hook.seen, dict) else {}  # once it was a list of ids alone
    known = {name: ends for name, ends in seen.items() if ends > now}
    if identity in known:
        why = f"a call of {command.name} came again, which starts nothing more"
        after = replace(hook, passed=hook.passed + 1, outcome=why, outcome_at=now)
    else:
        after = replace(hook, seen=dict([*known.items(), (identity, until)][-_MOST_KNOWN:]))
    store.save_trigger(turn.connection, hook, after)
    return identity not in known
