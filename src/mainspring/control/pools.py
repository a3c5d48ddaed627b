"""Use cases of pools: where runs execute, and the machines there."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from msgspec.structs import replace

from mainspring.compute.engine import find_engine
from mainspring.control.backlog import find_state
from mainspring.control.costs import read_costs
from mainspring.control.placement import Pool as OpenPool
from mainspring.control.placement import leave_pool, open_pools
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import pools as messages
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.pools import LOCAL_POOL, LOCAL_URL, Machine, Pool, list_places, split_place
from mainspring.domain.quotas import is_tenant
from mainspring.store import pools as store
from mainspring.store import runs

MOST_POOLS = 100
"""Of a home."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}\Z")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[!-~]{0,500}\Z")
_SECRET = re.compile(r"pass|pwd|secret|token|credential|(^|_|-)key$", re.IGNORECASE)


@handles(messages.AddPool, action="pools.write", rehearsed=True)
def add_pool(turn: Turn, command: messages.AddPool) -> Pool:
    """Have runs executed by one more engine; of a pool that is there, what is known of it changes.

    Raises
    ------
    Invalid
        POOL-002 for what can be no pool, POOL-003 for a secret in the URL.
    NotFound
        WORK-001 when no such engine is installed.
    Conflict
        POOL-004 when another URL is to be used by runs that are there.
    """
    _check(turn, command)
    find_engine(command.url, turn.home).close()
    labels = ("url", "zone", "owner", "trust", "price", "start_s", "spot", "burst_after_s", "idle_s")
    said: dict[str, Any] = {name: getattr(command, name) for name in labels}
    before = next((each for each in store.list_pools(turn.connection) if each.name == command.name), None)
    now = turn.now()
    if before is None:
        pool = Pool(command.name, **said, created_by=str(turn.actor), created_at=now, changed_at=now)
        store.add_pool(turn.connection, pool)
        turn.pools = None
    else:
        if before.url != command.url:
            _check_unused(turn, command.name)
        store.change_pool(turn.connection, command.name, **said, changed_at=now)
        turn.pools = None
    was = before and {name: getattr(before, name) for name in labels}
    turn.audit("pools.write", command.name, before=was, after=said, home=True)
    turn.notify("queue")
    return _find(turn, command.name)


@handles(messages.ListPools, action="pools.read", reads=True)
def list_pools(turn: Turn, command: messages.ListPools) -> list[Pool]:
    """Answer with the pools, by name, the local one first."""
    del command
    held = Counter(split_place(each.place)[0] for each in store.list_there(turn.connection) if each.place)
    drained, costs = set(store.read_drains(turn.connection)), read_costs(turn)
    found = [
        _complete(turn, each, held[each.name], drained, costs.get(each.name, 0.0)) for each in open_pools(turn).values()
    ]
    return sorted(found, key=lambda each: (each.name != LOCAL_POOL, each.name))


@handles(messages.GetPool, action="pools.read", reads=True)
def get_pool(turn: Turn, command: messages.GetPool) -> Pool:
    """Answer with one pool."""
    return _find(turn, command.name)


@handles(messages.RemovePool, action="pools.write", rehearsed=True)
def remove_pool(turn: Turn, command: messages.RemovePool) -> Pool:
    """Have nothing executed there any more.

    Raises
    ------
    NotFound
        POOL-001.
    Invalid
        POOL-002 for the local one.
    Conflict
        POOL-004 when runs are there or wait for it, unless they may be lost.
    """
    pool = _find(turn, command.name)
    if pool.name == LOCAL_POOL:
        raise Invalid("POOL-002", "every home has its local pool", fix="mainspring nodes drain local", name=pool.name)
    if not command.force:
        _check_unused(turn, pool.name)
    store.remove_pool(turn.connection, pool.name)
    turn.pools = None
    for each in _list_users(turn, pool.name):
        leave_pool(turn, runs.get_run(turn.connection, each.id), pool.name)
    turn.audit("pools.write", pool.name, before={"url": pool.url}, home=True)
    turn.notify("unwanted")
    return pool


@handles(messages.ListNodes, action="pools.read", reads=True)
def list_nodes(turn: Turn, command: messages.ListNodes) -> list[Machine]:
    """Answer with the machines of pools that answer."""
    if command.pool:
        _find(turn, command.pool)
    return [each for each in _list_machines(turn) if command.pool in {"", each.pool}]


@handles(messages.DrainNode, action="pools.write", rehearsed=True)
def drain_node(turn: Turn, command: messages.DrainNode) -> Machine:
    """Start nothing more on a machine.

    Raises
    ------
    NotFound
        POOL-006 when no pool that answers has it.
    """
    found = _find_machine(turn, command.place)
    if not found.drained_by:
        store.drain(turn.connection, found.place, str(turn.actor), turn.now())
        turn.audit("pools.write", found.place, after={"drained": True}, home=True)
    return _find_machine(turn, found.place)


@handles(messages.ResumeNode, action="pools.write", rehearsed=True)
def resume_node(turn: Turn, command: messages.ResumeNode) -> Machine:
    """Start runs on a machine again.

    Raises
    ------
    NotFound
        POOL-006.
    """
    found = _find_machine(turn, command.place)
    if found.drained_by:
        store.resume(turn.connection, found.place)
        turn.audit("pools.write", found.place, after={"drained": False}, home=True)
        turn.notify("queue")
    return _find_machine(turn, found.place)


def _check(turn: Turn, command: messages.AddPool) -> None:
    if not _NAME.match(command.name):
        what = f"{command.name[:100]!r} is no name of a pool: small letters, digits, - and _, at most 40"
        raise Invalid("POOL-002", what, name=command.name)
    if command.name == LOCAL_POOL:
        raise Invalid("POOL-002", "every home has its local pool; give this one another name", name=command.name)
    if command.owner and not is_tenant(command.owner):
        raise Invalid("QUOTA-001", f"the owner {command.owner[:100]!r} is no tenant", tenant=command.owner)
    for name in ("price", "start_s", "burst_after_s", "idle_s"):
        if not math.isfinite(getattr(command, name)):
            raise Invalid("POOL-002", f"{name} of {command.name} is no number", name=command.name)
    if not _URL.match(command.url):
        raise Invalid("POOL-002", f"{command.url[:100]!r} is no URL of an engine", name=command.name)
    refusal = _find_secret(command.url)
    if refusal:
        raise Invalid("POOL-003", f"the URL of {command.name} has {refusal}", name=command.name)
    known = {pool.name: pool.url for pool in store.list_pools(turn.connection)}
    same = next((name for name, url in {LOCAL_POOL: LOCAL_URL, **known}.items() if _same(url, command.url)), None)
    if same not in {None, command.name}:
        raise Invalid("POOL-002", f"{command.url} is what the pool {same} uses", name=command.name)
    if len(known) >= MOST_POOLS and command.name not in known:
        raise Invalid("POOL-002", f"this home has {MOST_POOLS} pools; it may have no more", name=command.name)


def _same(url: str, other: str) -> bool:
    """Tell whether two pools would be the same machines: shares of this one need names of their own."""
    ours, theirs = urlsplit(url), urlsplit(other)
    local = ours.scheme == theirs.scheme == LOCAL_POOL
    return url == other or (local and (ours.netloc or LOCAL_POOL) == (theirs.netloc or LOCAL_POOL))


def _find_secret(url: str) -> str:
    """Tell which part of a URL may be a secret, without saying it; empty when none."""
    try:
        parts = urlsplit(url)
        if parts.password is not None:
            return "a password"
    except ValueError:
        return "parts that cannot be told apart"
    names = [name for name, _ in parse_qsl(f"{parts.query}&{parts.fragment}", keep_blank_values=True)]
    return next((f"a field {name[:40]!r}" for name in names if _SECRET.search(name)), "")


def _check_unused(turn: Turn, name: str) -> None:
    used = _list_users(turn, name)
    if used:
        there = sum(split_place(each.place)[0] == name for each in used if each.place)
        waiting = len(used) - there
        what = " and ".join([f"{there} there"] * bool(there) + [f"{waiting} waiting for it"] * bool(waiting))
        raise Conflict("POOL-004", f"the pool {name} has runs: {what}", name=name)


def _list_users(turn: Turn, name: str) -> list[store.There]:
    """Return the live runs that are in a pool, or ask for it."""
    there = store.list_there(turn.connection)
    return [each for each in there if (split_place(each.place)[0] if each.place else each.resources.pool) == name]


def _find(turn: Turn, name: str) -> Pool:
    found = {each.name: each for each in list_pools(turn, messages.ListPools())}
    if name not in found:
        raise NotFound("POOL-001", f"there is no pool {name!r}", fix=turn.suggest("pools.read", name, found), name=name)
    return found[name]


def _find_machine(turn: Turn, place: str) -> Machine:
    found = {each.place: each for each in _list_machines(turn)}
    if place in found:
        return found[place]
    pool = _find(turn, split_place(place)[0])
    why = f"the pool {pool.name} does not answer: {pool.problem}" if not pool.nodes else ""
    near = turn.suggest("pools.read", place, found)
    raise NotFound("POOL-006", f"the pool {pool.name} has no machine {place!r}", why=why, fix=near, name=place)


def _list_machines(turn: Turn) -> list[Machine]:
    held = Counter(place for each in store.list_there(turn.connection) for place in list_places(each.place))
    drained = store.read_drains(turn.connection)
    found: list[Machine] = []
    for pool in open_pools(turn).values():
        for node in pool.list_nodes():
            machine = Machine(
                node.name,
                pool.name,
                split_place(node.name)[1],
                node.cpus,
                node.memory_bytes,
                node.gpus,
                node.gpu_type,
                held[node.name],
            )
            if node.name in drained:
                machine.drained_by, machine.drained_at = drained[node.name]
            found.append(machine)
    return sorted(found, key=lambda each: (each.pool != LOCAL_POOL, each.place))


def _complete(turn: Turn, opened: OpenPool, held: int, drained: set[str], cost: float) -> Pool:
    """Return a pool with what is there now."""
    pool, nodes, state = replace(opened.told), opened.list_nodes(), find_state(turn.home)
    if pool.price and state is not None:
        pool.rented = state.renting.describe(pool.name, turn.now())
    pool.nodes = len(nodes)
    pool.cpus = sum(each.cpus for each in nodes)
    pool.memory_bytes = sum(each.memory_bytes for each in nodes)
    pool.gpus = sum(each.gpus for each in nodes)
    pool.held, pool.cost = held, cost
    idle = bool(nodes) and {each.name for each in nodes} <= drained
    pool.problem = opened.problem or ("all its machines are drained" if idle else "")
    return pool
