"""The engine's side of Kubernetes: a thread that makes jobs, reads what becomes of them and copies what they print."""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from mainspring.compute import forks
from mainspring.compute.adapters import kubejobs, kubetext
from mainspring.compute.adapters.kubeaddress import Address
from mainspring.compute.adapters.kubeclient import AwayError, KubeClient, RefusalError, Watch
from mainspring.compute.adapters.kubetext import Stamp
from mainspring.compute.attempts import write_attempt
from mainspring.compute.engine import Handle, Node, Spec
from mainspring.compute.keeper import MOST_TEXT_BYTES
from mainspring.compute.remote import Attempt, Link
from mainspring.compute.scheduling.fitting import find_misfit
from mainspring.domain.errors import Unavailable
from mainspring.domain.home import Home

_LOOK_S = 1.0
_NODES_S = 30.0
_EVENTS_S = 5.0
_FOLLOW_S = 15.0
"""So long after somebody has read text, more of it is copied."""

_MISSED_S = 5.0
"""After which a job of which no change told is asked for by itself."""

_STUCK_S = 120.0
"""So long a pod may be held up by its image or a setting."""

_BEYOND_S = 10.0
"""So long after the grace a pod may be there, before it is ended by force."""


class Held(Attempt):
    """An attempt as a job.

    Attributes
    ----------
    made_at : float or None
        Monotonic time at which its job was made, or found; None: it is still to be made.
    over_at : float or None
        Monotonic time since when its job has ended and its pods have not told so.
    stuck_at : float or None
        Monotonic time since when its pod is held up by something that seldom goes away.
    grace_told_s : float or None
        With which grace its pods were told to end.
    read, skip_bytes : Stamp, int
        How far its text was read, and how much of it an earlier owner has copied.
    copied : bool
        All of its text is here.
    followed_until : float
        Monotonic time until when its text is copied as it comes.
    """

    def __init__(self, handle: Handle, since: float, spec: Spec | None = None) -> None:
        super().__init__(handle, since, spec)
        self.made_at: float | None = None
        self.over_at: float | None = None
        self.stuck_at: float | None = None
        self.grace_told_s: float | None = None
        self.read = Stamp()
        self.skip_bytes = 0
        self.copied = False
        self.followed_until = 0.0
        self.change(queued=True, detail="on its way to Kubernetes")


class KubeLink(Link[Held]):
    """Has a cluster execute attempts as jobs.

    Parameters
    ----------
    home : Home
        Whose runs they are.
    address : Address
        Where they go.
    client : KubeClient
        Of the cluster.
    """

    def __init__(self, home: Home, address: Address, client: KubeClient) -> None:
        super().__init__(f"k8s {address.context}/{address.namespace}")
        self._home = home
        self._address = address
        self._client = client
        self._mark = read_mark(home)
        self._core = f"/api/v1/namespaces/{address.namespace}"
        self._batch = f"/apis/batch/v1/namespaces/{address.namespace}"
        self._nodes = [address.share] if address.share else []
        self._problem = ""
        self._released: list[Handle] = []
        self._said: dict[str, str] = {}
        self._due = {"nodes": 0.0, "events": 0.0, "again": 0.0}
        self._jobs: Watch | None = None
        self._pods: Watch | None = None
        self._pods_of: dict[Handle, list[dict[str, Any]]] = {}

    # --- called by the engine ------------------------------------------------------------

    def make_attempt(self, handle: Handle, since: float, spec: Spec | None = None) -> Held:
        """Return what is kept of an attempt."""
        return Held(handle, since, spec)

    def list_nodes(self) -> list[Node]:
        """Return the nodes that take pods, or the share that the pool has.

        Raises
        ------
        Unavailable
            WORK-019 when the cluster does not answer, or does not allow what is needed.
        """
        if self._problem:
            raise Unavailable("WORK-019", self._problem)
        return list(self._nodes) if self.searched else []

    def find_refusal(self, spec: Spec) -> str:
        """Tell why no node could ever hold an attempt."""
        if spec.resources.gpus % 1:
            return f"it asks {spec.resources.gpus:g} gpus; Kubernetes gives whole ones"
        misfit = find_misfit(self._nodes, "step", spec.resources) if self._nodes else ""
        return misfit or self._address.reach.find_refusal(spec)

    def tell_logs(self, handle: Handle) -> None:
        """Copy text of an attempt as it comes, for a while."""
        with self._lock:
            found = self._attempts.get(handle)
            if found is not None and not found.copied:
                followed, found.followed_until = found.followed_until, time.monotonic() + _FOLLOW_S
                if followed < time.monotonic():
                    self._woken.set()

    def drop(self, attempt: Held) -> None:
        """Have the job removed."""
        self._released.append(attempt.handle)

    def close(self) -> None:
        """End the threads; jobs go on."""
        for watch in (self._jobs, self._pods):
            if watch is not None:
                watch.close()
        super().close()

    # --- the thread ----------------------------------------------------------------------

    def look(self) -> None:
        """Make, read and end jobs."""
        self._begin_watches()
        assert self._jobs is not None
        assert self._pods is not None
        self._find()
        if time.monotonic() < self._due["again"]:
            return
        self._sort_pods()
        acts: list[Callable[[], None]] = [self._ask_nodes, self._make, self._end, self._read, self._remove]
        problem = self._jobs.problem or self._pods.problem
        for act in acts:
            try:
                act()
            except AwayError as fault:
                self._due["again"] = time.monotonic() + max(fault.pause_s, _LOOK_S)
                problem = str(fault)
                break
            except RefusalError as fault:
                problem = str(fault)
        place = f"{self._address.context}/{self._address.namespace}"
        self._problem = f"{place}: {problem}"[:500] if problem else ""

    def rest(self) -> None:
        """Wait for a change, or until something is to be looked at without one."""
        self._woken.wait(_LOOK_S if self._list_live() or self._released or self._problem else _NODES_S)

    def _begin_watches(self) -> None:
        if self._jobs is None:
            selector = f"{kubejobs.HOME_LABEL}={self._mark}"
            self._jobs = Watch(self._client, f"{self._batch}/jobs", selector, self._woken.set)
            self._pods = Watch(self._client, f"{self._core}/pods", selector, self._woken.set)

    def _find(self) -> None:
        """Take over what earlier owners have left."""
        assert self._jobs is not None
        assert self._pods is not None
        if self.searched or self._jobs.listed_at is None or self._pods.listed_at is None:
            return
        with self._lock:
            for job in list(self._jobs.items.values()):
                handle = kubejobs.read_handle(job)
                if handle is None:
                    continue
                found = self._attempts.setdefault(handle, Held(handle, time.time()))
                found.spec, found.made_at = None, time.monotonic()
                found.skip_bytes = self._measure(handle)
        self.searched = True

    def _ask_nodes(self) -> None:
        now = time.monotonic()
        if self._address.share is not None or now < self._due["nodes"]:
            return
        try:
            told = self._client.ask("GET", "/api/v1/nodes")
        except RefusalError as fault:
            if fault.status != 403:
                raise
            raise RefusalError(403, f"{fault}; give the pool a share by cpus=, memory= and gpus=") from None
        self._nodes = kubetext.read_nodes(told.get("items") or (), self._address.gpu)
        self._due["nodes"] = now + _NODES_S

    def _make(self) -> None:
        """Make the jobs of what was accepted."""
        for each in self._list_live() if self.searched else ():
            if each.spec is None:
                continue
            if each.signal and each.made_at is None:
                each.end("cancelled", "cancelled before its job was made")
                continue
            try:
                self._make_job(each, each.spec)
            except RefusalError as fault:
                if fault.status == 403:  # a quota of the namespace, or a right that may be given
                    each.change(detail=f"waiting in Kubernetes: {fault}"[:300], queued=True)
                    continue
                each.end("unstartable", f"Kubernetes refused it: {fault}"[:300])
                for kind in ("secrets", "services"):  # which no job owns yet
                    self._delete(f"{self._core}/{kind}/{kubejobs.name_job(each.handle)}")

    def _make_job(self, held: Held, spec: Spec) -> None:
        things = {}
        if spec.gang is not None:
            address = kubejobs.name_first(spec, self._address.namespace)
            spec = replace(spec, gang=replace(spec.gang, address=address))
            things["services"] = kubejobs.make_service(spec, self._mark)
        things["secrets"] = kubejobs.make_secret(spec, self._mark, write_attempt(spec))
        for kind, thing in things.items():
            self._create(f"{self._core}/{kind}", thing)
        job = self._create(f"{self._batch}/jobs", kubejobs.make_job(spec, self._address, self._mark))
        held.made_at = held.made_at or time.monotonic()
        for kind, thing in things.items():
            self._client.ask("PATCH", f"{self._core}/{kind}/{thing['metadata']['name']}", kubejobs.make_owner(job))
        held.spec = None

    def _create(self, path: str, thing: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._client.ask("POST", path, thing)
        except RefusalError as fault:
            if fault.status != 409:
                raise
            # An answer was lost, or an earlier owner's was: it is there.
            return self._client.ask("GET", f"{path}/{thing['metadata']['name']}")

    def _end(self) -> None:
        """End the pods of what is to end."""
        now = time.monotonic()
        for each in self._list_live():
            if not each.signal or each.made_at is None:
                continue
            pods = self._pods_of.get(each.handle, [])
            if not any((pod.get("status") or {}).get("phase") == "Running" for pod in pods):
                if each.grace_told_s is None:
                    self._delete_job(each.handle)
                    each.end("cancelled", "cancelled before it had begun")
                continue
            over = each.kill_at is not None and now >= each.kill_at + _BEYOND_S
            grace_s = 0.0 if over else each.grace_s
            if each.grace_told_s is None or grace_s < each.grace_told_s:
                for pod in pods:
                    # One second is the least that is no force: the node still sees to its end.
                    seconds = 0 if over else max(1, math.ceil(grace_s))
                    path = f"{self._core}/pods/{pod['metadata']['name']}"
                    self._delete(path, gracePeriodSeconds=seconds)
                each.grace_told_s = grace_s

    def _read(self) -> None:
        """Read what has become of jobs."""
        assert self._jobs is not None
        self._ask_events()
        for each in self._list_live():
            if each.made_at is None:
                continue
            name = kubejobs.name_job(each.handle)
            job = self._jobs.items.get(name)
            if job is None:
                job = self._ask_job(each, name)
                if job is None:
                    continue
            self._read_one(each, job)

    def _ask_job(self, held: Held, name: str) -> dict[str, Any] | None:
        """Ask for a job of which no change has told; one that is gone is lost."""
        assert held.made_at is not None
        if time.monotonic() - held.made_at < _MISSED_S:
            return None
        try:
            return self._client.ask("GET", f"{self._batch}/jobs/{name}")
        except RefusalError as fault:
            if fault.status != 404:
                raise
        held.end("lost", "its job is gone")
        return None

    def _read_one(self, held: Held, job: dict[str, Any]) -> None:
        pods, now = self._pods_of.get(held.handle, []), time.monotonic()
        if kubetext.is_over(job) and not kubetext.has_ended(pods) and not held.signal:
            # The watch of jobs was faster than that of pods, or told what that one has lost.
            held.over_at = held.over_at or now
            if now - held.over_at < _MISSED_S:
                return
            pods = self._ask_pods(held.handle)
        over = kubetext.has_ended(pods)
        if not held.copied and (over or held.signal or now < held.followed_until):
            # One that has ended is told so once all that it printed is here.
            self._copy(held, pods)
            held.copied = over
        said = next((self._said[each] for each in self._list_names(held, pods) if each in self._said), "")
        stuck = kubetext.read_job(held, job, pods, said)
        held.stuck_at = (held.stuck_at or now) if stuck else None
        if held.stuck_at is not None and now - held.stuck_at > _STUCK_S:
            self._delete_job(held.handle)
            held.end("unstartable", held.status.detail)

    def _ask_pods(self, handle: Handle) -> list[dict[str, Any]]:
        labels = kubejobs.make_labels(handle, self._mark)
        selector = ",".join(f"{name}={text}" for name, text in labels.items())
        return list(self._client.ask("GET", f"{self._core}/pods", labelSelector=selector).get("items") or ())

    def _list_names(self, held: Held, pods: list[dict[str, Any]]) -> list[str]:
        return [*(pod["metadata"]["name"] for pod in pods), kubejobs.name_job(held.handle)]

    def _ask_events(self) -> None:
        """Hear what hinders jobs and pods that have not begun."""
        now = time.monotonic()
        waits = any(each.made_at is not None and each.status.state == "starting" for each in self._list_live())
        if not waits or now < self._due["events"]:
            return
        self._due["events"] = now + _EVENTS_S
        try:
            told = self._client.ask("GET", f"{self._core}/events", fieldSelector="type=Warning", limit=500)
        except RefusalError:
            return  # a reason less; the rest does not need it
        self._said = kubetext.read_events(told.get("items") or ())

    def _copy(self, held: Held, pods: list[dict[str, Any]]) -> None:
        """Add to the text in this home what a pod has printed since; of several the first tells."""
        pod = min(pods, key=lambda each: str(each["metadata"]["name"]), default=None)
        if pod is None:
            return
        path = f"{self._core}/pods/{pod['metadata']['name']}/log"
        try:
            content = self._client.read(
                path, container=kubejobs.CONTAINER, timestamps="true", sinceTime=held.read.since
            )
        except RefusalError:
            return  # it has not begun, or is gone
        text, held.read = kubetext.cut_lines(content, held.read)
        skip, held.skip_bytes = min(held.skip_bytes, len(text)), max(0, held.skip_bytes - len(text))
        text = text[skip:][: max(0, MOST_TEXT_BYTES - self._measure(held.handle))]
        if text:
            log = forks.log_path(self._home, held.handle.run_id, held.handle.attempt)
            log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:  # noqa: PTH123 - a mode is given
                file.write(text)

    def _remove(self) -> None:
        """Remove the jobs of what was released; what cannot be is tried again."""
        while self._released:
            handle = self._released[0]
            self._delete_job(handle)
            with self._lock:
                self._released.remove(handle)

    def _delete_job(self, handle: Handle) -> None:
        # What the job owns goes with it.
        self._delete(f"{self._batch}/jobs/{kubejobs.name_job(handle)}", propagationPolicy="Background")

    def _delete(self, path: str, **how: object) -> None:
        try:
            self._client.ask("DELETE", path, **how)
        except RefusalError as fault:
            if fault.status not in {404, 409}:  # gone already, or on its way
                raise

    def _sort_pods(self) -> None:
        """Take the pods of each attempt from what is known of all."""
        assert self._pods is not None
        self._pods_of = {}
        for pod in list(self._pods.items.values()):
            handle = kubejobs.read_handle(pod)
            if handle is not None:
                self._pods_of.setdefault(handle, []).append(pod)

    def _measure(self, handle: Handle) -> int:
        try:
            return forks.log_path(self._home, handle.run_id, handle.attempt).stat().st_size
        except FileNotFoundError:
            return 0


def read_mark(home: Home) -> str:
    """Return by what jobs of a home are known, wherever its owner runs; made when it is first asked for."""
    path = home.root / "kubernetes" / "mark"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{secrets.token_hex(8)}")
        draft.write_text(secrets.token_hex(8))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()
