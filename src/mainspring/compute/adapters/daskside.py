"""The process beside the owner that has Dask imported: a line of JSON asks, a line answers, until there are no more."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO
from urllib.parse import urlsplit

from distributed import Client, Future, Security, fire_and_forget

from mainspring.compute.adapters import daskcluster, daskwork

ANSWER_S = 15.0
"""A worker that does not answer for so long is called silent."""

CONNECT_S = 10.0

_MOST_MISSED = 3
"""So often a worker may tell nothing of what it has executed: it was asked just before."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}\Z")


class Side:
    """What is known of the tasks of one pool.

    Parameters
    ----------
    client : Client
        Of the cluster, asynchronous.
    mark : str
        By which the pool's folders are called.
    """

    def __init__(self, client: Client, mark: str) -> None:
        self._client = client
        self._mark = mark
        self._futures: dict[str, Future] = {}
        self._places: dict[str, str] = {}
        self._ends: dict[str, dict[str, Any]] = {}
        self._missed: dict[str, int] = {}
        self._searched = False

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked; tell of all attempts."""
        workers = (await self._client.scheduler.identity(n_workers=-1))["workers"]
        names = name_workers(workers)
        for each in request["begin"]:
            self._begin(each, names)
        self._ends |= {each["name"]: each for each in request["end"]}
        held = request["offsets"]
        asked = {self._places[name] for name in held if name in self._places} if self._searched else set(workers)
        asked |= {self._places[name] for name in request["forget"] if name in self._places}
        found, silent = await self._ask(asked & set(workers), request)
        for name in request["forget"]:
            self._drop(name)
        waiting = {}
        for name in set(held) - set(found):
            facts = await self._tell(name, workers, silent)
            if facts and facts["state"] == "starting":
                waiting[name] = facts.get("detail", "")
            elif facts:
                found[name] = facts
        self._searched = self._searched or not silent
        machines = [describe(address, worker, names) for address, worker in workers.items()]
        return {
            "attempts": found,
            "machines": machines if request["machines"] else None,
            "waiting": waiting,
            "silent": bool(silent),
        }

    def _begin(self, asked: dict[str, Any], names: dict[str, str]) -> None:
        name = asked["name"]
        address = {given: each for each, given in names.items()}.get(asked["node"], "")
        if not address and not asked["node"] and names:
            # Nobody has placed it: where there is the least of ours.
            counts = list(self._places.values())
            address = min(names, key=counts.count)
        self._places[name] = address
        if not address:
            return
        arguments = [f"mainspring-{self._mark}", name, asked["variables"], asked["gpus"], asked["python"]]
        future = self._client.submit(
            daskwork.execute,
            *arguments,
            key=f"mainspring-{name}",
            workers=[address],
            allow_other_workers=False,
            resources={"GPU": asked["gpus"]} if asked["gpus"] else None,
            retries=0,
            pure=False,
        )
        # The scheduler is to keep it when this process is gone.
        fire_and_forget(future)
        self._futures[name] = future

    async def _ask(self, addresses: set[str], request: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """Have workers do and tell what is theirs; return that, and who told nothing."""
        part = {"mark": self._mark, "end": list(self._ends.values())}
        part |= {name: request[name] for name in ("forget", "known", "offsets")}
        listed = sorted(addresses)
        answers = await asyncio.gather(*(self._ask_one(each, part) for each in listed))
        found: dict[str, Any] = {}
        silent = set()
        for address, answer in zip(listed, answers, strict=True):
            if answer is None:
                silent.add(address)
                continue
            found |= answer
            self._places |= dict.fromkeys(answer, address)
        return found, silent

    async def _ask_one(self, address: str, part: dict[str, Any]) -> dict[str, Any] | None:
        try:
            asking = self._client.run(daskwork.exchange, part, workers=[address], on_error="return")
            answer = (await asyncio.wait_for(asking, ANSWER_S))[address]
        except (OSError, TimeoutError, KeyError):
            return None  # busy, or about to be gone: the scheduler tells
        if isinstance(answer, Exception):
            # It cannot import this package, or another version of it.
            raise RuntimeError(f"the worker at {address} cannot keep attempts: {type(answer).__name__}: {answer}")  # noqa: TRY004 - not a type's fault
        told: dict[str, Any] = answer
        return told

    async def _tell(self, name: str, workers: Iterable[str], silent: set[str]) -> dict[str, Any] | None:
        """Tell of an attempt of which no worker tells; None when nothing is known."""
        address, future = self._places.get(name, ""), self._futures.get(name)
        gone = name in self._places and address not in workers
        if address in silent or (future is None and not gone):
            return None
        waits = future is not None and future.status == "pending"
        if gone or (waits and name in self._ends):
            if future is not None:
                await self._client.cancel([future], force=True)
            why = (
                {"detail": "its worker of Dask is gone"}
                if gone
                else {"detail": "it had not begun", "cause": "cancelled"}
            )
            return make_facts("ended", **why)
        if waits:
            return make_facts("starting", detail=f"waiting for its turn on {address}")
        return await self._tell_done(name, future)

    async def _tell_done(self, name: str, future: Future) -> dict[str, Any]:
        """Tell of an attempt that is over for Dask, though no worker tells of it."""
        if future.status == "finished":
            why = await future
            self._missed[name] = self._missed.get(name, 0) + 1
            if why or self._missed[name] > _MOST_MISSED:
                return make_facts(
                    "ended", detail=why or "its worker has lost it", cause="unstartable" if why else "lost"
                )
            return make_facts("starting")
        if future.status == "error":
            fault = await future.exception()
            return make_facts("ended", detail=f"Dask: {type(fault).__name__}: {fault}"[:300])
        return make_facts("ended", detail="Dask has dropped it")

    async def close(self) -> None:
        """Let the cluster go; tasks go on."""
        await self._client.close()

    def _drop(self, name: str) -> None:
        self._futures.pop(name, None)
        self._places.pop(name, None)
        self._ends.pop(name, None)
        self._missed.pop(name, None)


def name_workers(workers: dict[str, Any]) -> dict[str, str]:
    """Return address -> name: the worker's own where it has one that others do not, else host and port."""
    own = [str(each["name"]) for each in workers.values()]
    return {
        address: name if _NAME.match(name) and own.count(name) == 1 else address.partition("://")[2]
        for address, name in zip(workers, own, strict=True)
    }


def describe(address: str, worker: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return a worker as a machine."""
    memory = int(worker["memory_limit"] or 0) or 1 << 50
    gpus = float(worker.get("resources", {}).get("GPU", 0.0))
    found = {"name": names[address], "cpus": worker["nthreads"], "memory_bytes": memory, "gpus": gpus}
    return found | {"host": urlsplit(address).hostname or ""}


def make_facts(state: str, **more: Any) -> dict[str, Any]:
    """Return what is told of an attempt that has printed nothing."""
    return {"state": state, "pid": 0, "code": None, "at": time.time(), "offset": 0, "text": "", "size_bytes": 0, **more}


async def connect(settings: dict[str, Any]) -> Client:
    """Return a client of the cluster, which is started when it is to be one of this machine and there is none."""
    if not settings["scheduler"]:
        address, security = await asyncio.to_thread(daskcluster.await_cluster, settings)
    else:
        address, security = settings["scheduler"], None
        if settings["key"]:
            security = Security(
                tls_ca_file=settings["authority"],
                tls_client_cert=settings["identity"],
                tls_client_key=settings["key"],
                require_encryption=True,
            )
    return await Client(address, asynchronous=True, security=security, timeout=CONNECT_S, name="mainspring")


async def serve(answers: TextIO) -> None:
    """Answer until nobody asks any more."""
    loop = asyncio.get_running_loop()
    settings = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    side: Side | None = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            if side is None:
                side = Side(await connect(settings), settings["mark"])
            answer = await side.answer(json.loads(line))
        except (OSError, TimeoutError, ImportError, RuntimeError) as fault:
            where = settings["scheduler"] or "the Dask cluster of this machine"
            answer = {"problem": f"{where} cannot be used: {fault or type(fault).__name__}"}
            if side is not None:
                with contextlib.suppress(OSError, TimeoutError, RuntimeError):
                    await asyncio.wait_for(side.close(), CONNECT_S)
                side = None
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    # What Dask prints must not be read as an answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    asyncio.run(serve(answers))
