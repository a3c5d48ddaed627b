"""Where runs may be: what reads something sensitive stays on its site, and a pool with an owner is its owner's."""

from __future__ import annotations

import os

from mainspring.control.assets import find_version
from mainspring.control.turn import Turn
from mainspring.domain.errors import Denied
from mainspring.domain.pools import LOCAL_POOL, LOCAL_URL, SENSITIVE, Pool, split_place
from mainspring.domain.records import Call, Run, Version
from mainspring.store import calls, runs
from mainspring.store import pools as store
from mainspring.store.versions import get_versions

SAID = "it was called with sensitive=True"

_MOST_LOOKED_AT = 1000
"""So many versions that a dataset was made of are looked at; what was made of more counts as sensitive."""


def read_pools(turn: Turn) -> dict[str, Pool]:
    """Return what is known of the pools of the record, by name, the local one first; read once in a turn."""
    if turn.pools is not None:
        return turn.pools
    zone = os.environ.get("MAINSPRING_ZONE", "")
    local = Pool(LOCAL_POOL, LOCAL_URL, zone=zone, may_hold_sensitive=True)
    found = {LOCAL_POOL: local} | {pool.name: pool for pool in store.list_pools(turn.connection)}
    for pool in found.values():
        pool.may_hold_sensitive = pool is local or (pool.trust == SENSITIVE and pool.zone == zone)
    turn.pools = found
    return found


def find_label(turn: Turn, call: Call, parent_id: str | None) -> str:
    """Tell what of a call is sensitive, in a few words; empty when nothing is known to be.

    Parameters
    ----------
    turn : Turn
        The turn.
    call : Call
        What is to be executed.
    parent_id : str or None
        The run above it, whose label counts for what is below.

    Notes
    -----
    A dataset without a contract is as sensitive as anything that it was made of. One that is not there counts as
    sensitive.
    """
    if call.exposed:
        return "something sensitive had been seen where it was called"
    for reference in call.reads:
        if _is_sensitive(turn, find_version(turn, "dataset", reference)):
            return f"it is given {reference}"
    above = calls.read_resources(turn.connection, parent_id) if parent_id is not None else None
    return "so is the run above it" if above is not None and above.sensitive else ""


def find_refusal(pool: Pool, run: Run, tenant: str) -> tuple[str, str]:
    """Tell why a pool may not take a run, and what would help; both empty when it may."""
    if run.resources.sensitive and not pool.may_hold_sensitive:
        why = f"is trusted with {pool.trust}" if pool.trust else "is not trusted with what is sensitive"
        if pool.trust == SENSITIVE:
            zone = os.environ.get("MAINSPRING_ZONE", "")
            why = f"stands in {_name_zone(pool.zone)}, this home in {_name_zone(zone)}"
        words = f"--zone '{os.environ.get('MAINSPRING_ZONE', '')}' --trust {SENSITIVE}"
        return why, f"if that is where it stands: mainspring pools add {pool.name} '{pool.url}' {words}"
    if pool.owner and not is_within(tenant, pool.owner):
        fix = f"mainspring pools add {pool.name} '{pool.url}' --owner {tenant.partition('/')[0]}"
        return f"takes runs of {pool.owner} alone", fix
    return "", ""


def is_within(tenant: str, path: str) -> bool:
    """Tell whether a tenant is, or lies below, another one.

    Examples
    --------
    >>> is_within("air/anna", "air"), is_within("airport/anna", "air")
    (True, False)
    """
    return f"{tenant}/".startswith(f"{path}/")


def check_key(turn: Turn) -> None:
    """Refuse a key of what is sensitive to a worker elsewhere, where it may not be.

    Raises
    ------
    Denied
        POOL-008 with the pool.
    """
    if turn.actor.kind != "worker":
        return
    run = runs.get_run(turn.connection, turn.actor.run_id)
    name = split_place(run.place)[0]
    pool = read_pools(turn).get(name)
    if pool is not None and pool.may_hold_sensitive:
        return
    what = f"{run.name} reads what is sensitive, and the pool {name or 'it is in'} may not hold that"
    raise Denied("POOL-008", what, fix="call it with sensitive=True: then it starts where it may", run=run.id)


def _is_sensitive(turn: Turn, version: Version | None) -> bool:
    """Tell whether a dataset is sensitive, or without a contract and made of what is."""
    ahead: list[Version | None] = [version]
    seen: set[str] = set()
    while ahead:
        each = ahead.pop()
        if each is None or each.manifest is None or len(seen) >= _MOST_LOOKED_AT:
            return True  # what is gone cannot be asked any more
        details = each.details if isinstance(each.details, dict) else {}
        if details.get("sealed"):
            return True
        if each.id not in seen and not details.get("contract"):
            ahead += get_versions(turn.connection, [id_ for id_ in each.inputs if id_ not in seen])
        seen.add(each.id)
    return False


def _name_zone(zone: str) -> str:
    return f"zone {zone}" if zone else "no zone"
