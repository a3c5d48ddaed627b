"""The port of engines: what executes runs, on one machine or many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Literal, Protocol

import msgspec

from mainspring.domain.errors import NotFound
from mainspring.domain.home import Home
from mainspring.domain.principals import DEFAULT_PROJECT
from mainspring.domain.records import Resources

GROUP = "mainspring.engines"
_BUILT_IN = {"local": "mainspring.compute.adapters.local:LocalEngine"}

Cause = Literal["", "timeout", "memory", "cancelled", "unstartable", "unbuildable", "lost"]


class Description(msgspec.Struct, frozen=True):
    """What an engine can do.

    Attributes
    ----------
    url : str
        Where it is, ``local://``.
    owns_queue : bool
        It queues what it is given; otherwise only what fits now is submitted.
    gpus : bool
        It places runs on devices.
    shares_blobs : bool
        Its workers see the home's blob folder.
    reaches_owner : bool
        Its workers reach the owner's socket.
    gang : bool
        It starts all members of a gang itself; otherwise it is given each of them as an attempt of its own.
    """

    url: str
    owns_queue: bool
    gpus: bool
    shares_blobs: bool
    reaches_owner: bool
    gang: bool = False


class Node(msgspec.Struct, frozen=True):
    """One machine of an engine; totals, not what is free now.

    Attributes
    ----------
    name : str
        Unique within the engine.
    cpus : float
        Cores.
    memory_bytes : int
        Main memory.
    gpus : float
        Devices.
    gpu_type : str
        What they are; empty: unknown.
    devices : tuple of str
        What ``CUDA_VISIBLE_DEVICES`` calls them, where who places is to choose among them.
    address : str
        By which other nodes of the pool reach it.
    alone : bool
        It can be no member of a gang: its engine cannot have several nodes begin at once.
    """

    name: str
    cpus: float
    memory_bytes: int
    gpus: float = 0.0
    gpu_type: str = ""
    devices: tuple[str, ...] = ()
    address: str = "127.0.0.1"
    alone: bool = False


class Gang(msgspec.Struct, frozen=True):
    """The place of an attempt's process among those that belong together.

    Attributes
    ----------
    nodes : int
        Members, each on a node of its own.
    rank : int
        Of this one, from 0.
    address : str
        Where the others reach the one of rank 0; empty: the engine tells.
    """

    nodes: int
    rank: int = 0
    address: str = ""


class Spec(msgspec.Struct, frozen=True):
    """One attempt of a run, to be executed.

    Attributes
    ----------
    run_id, attempt, fence : str, int, int
        The attempt; engines are idempotent by run id and attempt. For a member of a gang its name,
        see `mainspring.domain.gangs.name_member`.
    token : str
        The worker shows it to the owner and gets the run for it.
    resources : Resources
        What the attempt may use.
    timeout_s : float or None
        Ended with cause ``timeout`` when it runs longer.
    python : str
        Interpreter; empty means the owner's.
    paths, folder, code_digest : tuple of str, str, str
        What a worker holds; attempts that agree in them may share a warm worker.
    preload : tuple of str
        Modules that are worth importing beforehand.
    environment : str
        Digest of the lock of the environment that it runs in; empty: what `python` has.
    variables : dict of str to str
        Variables of its process.
    project : str
        Of the run.
    node : str
        The engine's node that it was placed on; an engine that owns its queue may choose another.
    devices : tuple of str
        Those of the node that it may use; empty: whichever the engine gives it.
    priority : int
        Higher is more urgent; an engine that owns its queue passes it on.
    gang : Gang or None
        Its place in a gang; to an engine that starts gangs itself, the gang's size.
    """

    run_id: str
    attempt: int
    fence: int
    token: str
    resources: Resources = Resources()
    timeout_s: float | None = None
    python: str = ""
    paths: tuple[str, ...] = ()
    folder: str = ""
    code_digest: str = ""
    preload: tuple[str, ...] = ()
    environment: str = ""
    variables: dict[str, str] = {}
    project: str = DEFAULT_PROJECT
    node: str = ""
    devices: tuple[str, ...] = ()
    priority: int = 0
    gang: Gang | None = None


class Handle(msgspec.Struct, frozen=True):
    """An attempt that an engine has accepted."""

    run_id: str
    attempt: int


class Rejection(msgspec.Struct, frozen=True):
    """An attempt that an engine has refused, and why in one line."""

    run_id: str
    attempt: int
    reason: str


class Status(msgspec.Struct, frozen=True):
    """Where an attempt is.

    Attributes
    ----------
    state : str
        ``starting``, ``running`` or ``ended``; there is no unknown.
    cause : str
        Why the engine ended it, empty when its process ended by itself. ``unstartable``: no
        process could be made for it, and none can. ``unbuildable``: nor its environment.
        ``lost``: its process is gone and nobody saw how.
    exit_code, signal : int or None
        How its process ended; None while a warm worker goes on.
    detail : str
        A few words for people.
    building : bool
        It has not started because its environment is still being built.
    devices : tuple of str
        Those that it was given.
    queued : bool
        It has not started because it waits in the engine's own queue; `detail` tells for what.
    cpu_s, memory_bytes : float, int
        What a killed attempt had used; 0 when it reported by itself.
    """

    run_id: str
    attempt: int
    state: Literal["starting", "running", "ended"]
    pid: int = 0
    cause: Cause = ""
    exit_code: int | None = None
    signal: int | None = None
    detail: str = ""
    cpu_s: float = 0.0
    memory_bytes: int = 0
    building: bool = False
    devices: tuple[str, ...] = ()
    queued: bool = False


class Engine(Protocol):
    """What executes runs. No method may block longer than a system call takes."""

    def describe(self) -> Description:
        """Return what the engine can do; MUST be constant."""
        ...

    def capacity(self) -> list[Node]:
        """Return the nodes; MUST be empty only when the engine cannot be reached."""
        ...

    def submit(self, specs: Sequence[Spec]) -> list[Handle | Rejection]:
        """Accept attempts, answers in the order of `specs`.

        MUST reject, with a reason, what no node can ever hold. MUST accept an attempt that it
        holds already without starting it again. An accepted attempt MUST end up ``ended`` even
        when it could never be started.
        """
        ...

    def poll(self, handles: Sequence[Handle]) -> list[Status]:
        """Return where attempts are.

        One that the engine does not hold MUST be ended, lost, as soon as the engine knows of all
        that earlier owners have left, and MUST NOT be so before.
        """
        ...

    def cancel(self, handles: Sequence[Handle], grace_s: float, signal: int) -> None:
        """Send `signal` to the attempts' processes, and kill what is left after `grace_s`.

        MUST reach the processes that an attempt has started, too; MUST be idempotent.
        """
        ...

    def logs(self, handle: Handle, offset: int, limit_bytes: int) -> tuple[bytes, int]:
        """Return what an attempt printed from `offset` on, and how much it printed in all.

        MUST answer also after the attempt was released.
        """
        ...

    def adopt(self, since: float) -> list[Handle]:
        """Find attempts accepted since that wall time by this or an earlier owner.

        MUST find every attempt that still runs and every end not yet released.
        """
        ...

    def release(self, handles: Sequence[Handle]) -> None:
        """Forget ended attempts: their outcome is in the record."""
        ...

    def close(self) -> None:
        """Let go; attempts that run MUST go on and be found by `adopt`."""
        ...


EngineFactory = Callable[[str, Home], Engine]
"""(url, home) -> Engine; what an entry point of the group names."""


def find_engine(url: str, home: Home) -> Engine:
    """Make the engine of a URL.

    Parameters
    ----------
    url : str
        Its scheme names the entry point of the group ``mainspring.engines``.
    home : Home
        Whose runs it executes.

    Returns
    -------
    Engine
        Ready to be used; the caller closes it.

    Raises
    ------
    NotFound
        WORK-001 when no engine has this scheme.
    """
    scheme = url.partition("://")[0]
    if scheme in _BUILT_IN:  # every owner has one, and to look through all that is installed takes longer than it
        module, _, name = _BUILT_IN[scheme].partition(":")
        factory: EngineFactory = getattr(import_module(module), name)
        return factory(url, home)
    from importlib.metadata import entry_points

    known = entry_points(group=GROUP)
    for found in known:
        if found.name == scheme:
            factory = found.load()
            return factory(url, home)
    names = ", ".join(sorted({each.name for each in known})) or "none"
    raise NotFound("WORK-001", f"no engine is called {scheme!r}", why=f"engines installed here: {names}", url=url)
