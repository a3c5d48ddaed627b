"""What a Kubernetes cluster says of nodes, jobs and pods, read: pure, no input or output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mainspring.compute.adapters.kubeaddress import read_quantity
from mainspring.compute.adapters.kubejobs import CONTAINER
from mainspring.compute.engine import Cause, Node
from mainspring.compute.remote import Attempt


def read_nodes(items: Sequence[Mapping[str, Any]], gpu: str) -> list[Node]:
    """Read the nodes that take pods now."""
    nodes = []
    for each in items:
        has = each.get("status", {}).get("allocatable") or {}
        conditions = {c.get("type"): c.get("status") for c in each.get("status", {}).get("conditions") or ()}
        if each.get("spec", {}).get("unschedulable") or conditions.get("Ready") != "True" or "cpu" not in has:
            continue
        labels = each["metadata"].get("labels") or {}
        gpus = read_quantity(has.get(gpu, "0"))
        kind = str(labels.get("nvidia.com/gpu.product", "")) if gpus else ""
        memory_bytes = int(read_quantity(has.get("memory", "0")))
        nodes.append(Node(str(each["metadata"]["name"]), read_quantity(has["cpu"]), memory_bytes, gpus, kind))
    return nodes


def read_job(attempt: Attempt, job: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], said: str) -> bool:
    """Change an attempt by what is known of its job and pods.

    Parameters
    ----------
    attempt : Attempt
        Not ended.
    job, pods : mapping, sequence of mapping
        As the API tells of them.
    said : str
        The last warning among its events.

    Returns
    -------
    bool
        It is held up by something that seldom goes away by itself: an image that cannot be pulled, a setting.
    """
    conditions = _read_conditions(job)
    ends = [_read_end(pod) for pod in pods]
    bad = next((end for end in ends if end is not None and end[0] != 0), None)
    if bad is not None or "Complete" in conditions:
        _end(attempt, *(bad or (0, "", "")))
        return False
    if "Failed" in conditions and not any(end is None and _is_live(pod) for end, pod in zip(ends, pods, strict=True)):
        told = conditions["Failed"]
        cause: Cause = "timeout" if told.get("reason") == "DeadlineExceeded" else "lost"
        attempt.end(cause, f"Kubernetes: {told.get('message') or told.get('reason') or 'its job has failed'}"[:300])
        return False
    if pods and all(_find_state(pod, "running") is not None for pod in pods):
        attempt.change(state="running", queued=False, detail=f"on {_list_places(pods)}")
        return False
    if attempt.status.state == "starting":
        waits, stuck = _find_wait(job, pods)
        attempt.change(queued=True, detail=f"waiting in Kubernetes: {waits or said or 'its pod is being made'}"[:300])
        return stuck
    return False


def _end(attempt: Attempt, code: int | None, reason: str, message: str) -> None:
    if reason == "OOMKilled":
        attempt.end("memory", "Kubernetes ended it: it held more memory than it asked for", code)
    elif code is None:
        attempt.end("lost", f"Kubernetes: {reason or 'its pod has failed'}{message and ': '}{message}"[:300])
    else:
        attempt.end_by_code(code)


def _read_end(pod: Mapping[str, Any]) -> tuple[int | None, str, str] | None:
    """Return exit code, reason and message of a pod that has ended; None when it has not."""
    done = _find_state(pod, "terminated")
    status = pod.get("status") or {}
    if status.get("reason") and status.get("phase") == "Failed":  # evicted, preempted, its node lost
        return None, str(status["reason"]), str(status.get("message") or "")
    if done is not None:
        return int(done.get("exitCode", 0)), str(done.get("reason") or ""), str(done.get("message") or "")
    if status.get("phase") == "Failed":
        return None, "", str(status.get("message") or "")
    return None


def is_over(job: Mapping[str, Any]) -> bool:
    """Tell whether a job has ended, well or not."""
    return not {"Complete", "Failed"}.isdisjoint(_read_conditions(job))


def _read_conditions(job: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return {str(each["type"]): each for each in conditions if each.get("status") == "True"}


def has_ended(pods: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether all pods of an attempt have ended, so that they print nothing more."""
    return bool(pods) and all(_read_end(pod) is not None for pod in pods)


def read_events(items: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return name of an object -> what the last warning says of it."""
    ordered = sorted(items, key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime") or ""))
    return {
        str((each.get("involvedObject") or {}).get("name", "")): f"{each.get('reason', '')}: {each.get('message', '')}"
        for each in ordered
    }


def _is_live(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Pending", "Running", None}


def _find_state(pod: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    for each in (pod.get("status") or {}).get("containerStatuses") or ():
        found = (each.get("state") or {}).get(kind)
        if each.get("name") == CONTAINER and found is not None:
            return dict(found)
    return None


def _find_wait(job: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    """Return what a job waits for in words, and whether that seldom goes away by itself."""
    for pod in pods:
        waiting = _find_state(pod, "waiting")
        reason = str((waiting or {}).get("reason") or "")
        if waiting is not None and reason not in {"", "ContainerCreating", "PodInitializing"}:
            message = str(waiting.get("message") or "")
            return f"{reason}{message and ': '}{message}", True
        for each in (pod.get("status") or {}).get("conditions") or ():
            if each.get("type") == "PodScheduled" and each.get("status") == "False":
                return str(each.get("message") or each.get("reason") or ""), False
    if (job.get("spec") or {}).get("suspend"):
        return "its turn in the queue of Kueue", False
    return "", False


def _list_places(pods: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str((pod.get("spec") or {}).get("nodeName") or "a node") for pod in pods)


class Stamp(msgspec.Struct, frozen=True):
    """How far the text of a pod was read: the time of its last line, and how many lines of that time there were."""

    time: str = ""
    lines: int = 0

    @property
    def since(self) -> str:
        """The whole second, which the API can be asked from."""
        return f"{self.time[:19]}Z" if self.time else ""


def cut_lines(content: bytes, read: Stamp) -> tuple[bytes, Stamp]:
    r"""Return what lines with times say beyond what was read, and how far that is.

    Examples
    --------
    >>> lines = b"2026-11-22T06:00:00.5Z one\n2026-11-22T06:00:00.5Z two\n2026-11-22T06:00:01Z three\n"
    >>> text, read = cut_lines(lines, Stamp("2026-11-22T06:00:00.500000000", 1))
    >>> text, read.lines, cut_lines(lines, read)[0]
    (b'two\nthree\n', 1, b'')
    """
    parts, time, lines, same = [], read.time, read.lines, 0
    for line in content.splitlines(keepends=True):
        word, _, text = line.partition(b" ")
        at = _widen(word.decode("ascii", "replace"))
        if at < read.time:
            continue
        if at == read.time:
            same += 1
            if same <= read.lines:
                continue
        time, lines = (at, lines + 1) if at == time else (at, 1)
        parts.append(text)
    return b"".join(parts), Stamp(time, lines)


def _widen(word: str) -> str:
    """Return a time with all nine digits, so that it can be compared as a text."""
    whole, _, part = word.rstrip("Z").partition(".")
    return f"{whole}.{part:0<9}"
