"""The objects by which an attempt is executed in a Kubernetes cluster: pure, no input or output."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

from mainspring.compute.adapters.kubeaddress import Address
from mainspring.compute.attempts import RANK, VARIABLE
from mainspring.compute.engine import Handle, Spec

HOME_LABEL = "mainspring.home"
RUN_LABEL = "mainspring.run"
ATTEMPT_LABEL = "mainspring.attempt"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
CONTAINER = "worker"

_LEFT_S = 7 * 86_400
"""An ended job that nobody releases is removed by the cluster after this."""

_SCRATCH = "/mainspring"
_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


def name_job(handle: Handle) -> str:
    """Return what the job of an attempt is called, and its secret."""
    return f"mainspring-{handle.run_id.replace('.', '-')}-{handle.attempt}"


def make_labels(handle: Handle, mark: str) -> dict[str, str]:
    """Return by what the objects of an attempt are found."""
    return {
        "app.kubernetes.io/managed-by": "mainspring",
        HOME_LABEL: mark,
        RUN_LABEL: handle.run_id,
        ATTEMPT_LABEL: str(handle.attempt),
    }


def read_handle(thing: Mapping[str, Any]) -> Handle | None:
    """Return whose attempt's an object is; None when it is nobody's."""
    labels = thing.get("metadata", {}).get("labels") or {}
    attempt = str(labels.get(ATTEMPT_LABEL, ""))
    return Handle(str(labels[RUN_LABEL]), int(attempt)) if attempt.isdecimal() and RUN_LABEL in labels else None


def make_secret(spec: Spec, mark: str, attempt: str) -> dict[str, Any]:
    """Return the secret with what the worker of an attempt is told; its token is nowhere else."""
    handle = Handle(spec.run_id, spec.attempt)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name_job(handle), "labels": make_labels(handle, mark)},
        "type": "Opaque",
        "immutable": True,
        "data": {VARIABLE: base64.b64encode(attempt.encode()).decode()},
    }


def make_owner(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the change by which a secret goes when its job does."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
    return {"metadata": {"ownerReferences": [owner]}}


def make_service(spec: Spec, mark: str) -> dict[str, Any]:
    """Return the service by which the pods of a gang find the first of them."""
    name = name_job(Handle(spec.run_id, spec.attempt))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": make_labels(Handle(spec.run_id, spec.attempt), mark)},
        "spec": {
            "clusterIP": "None",
            # They look for each other before they are ready for anything.
            "publishNotReadyAddresses": True,
            "selector": {"batch.kubernetes.io/job-name": name},
        },
    }


def name_first(spec: Spec, namespace: str) -> str:
    """Return the address of the first pod of a gang."""
    name = name_job(Handle(spec.run_id, spec.attempt))
    return f"{name}-0.{name}.{namespace}.svc"


def make_job(spec: Spec, address: Address, mark: str) -> dict[str, Any]:
    """Return the job of an attempt; of a gang all pods, each with an index.

    Parameters
    ----------
    spec : Spec
        The attempt.
    address : Address
        Where it goes.
    mark : str
        Of the home.

    Notes
    -----
    Guarantees: a pod is never started again, and asks for nothing that a restricted namespace refuses: no root,
    whichever user the cluster chooses, no privilege, no capability, the runtime's own filter of system calls.
    """
    handle = Handle(spec.run_id, spec.attempt)
    labels, nodes = make_labels(handle, mark), spec.gang.nodes if spec.gang else 1
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name_job(handle),
            "labels": labels | ({QUEUE_LABEL: address.queue} if address.queue else {}),
        },
        "spec": {
            "backoffLimit": 0,
            "completions": nodes,
            "parallelism": nodes,
            "completionMode": "Indexed" if nodes > 1 else "NonIndexed",
            "podReplacementPolicy": "Failed",
            "suspend": bool(address.queue),
            "ttlSecondsAfterFinished": _LEFT_S,
            "template": {"metadata": {"labels": labels}, "spec": _make_pod(spec, address)},
        },
    }


def _make_pod(spec: Spec, address: Address) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [{"name": "scratch", "emptyDir": {}}]
    mounts = [{"name": "scratch", "mountPath": _SCRATCH}]
    for number, (claim, path) in enumerate(address.claims):
        volumes.append({"name": f"claim-{number}", "persistentVolumeClaim": {"claimName": claim}})
        mounts.append({"name": f"claim-{number}", "mountPath": path})
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_make_container(spec, address, mounts)],
        "volumes": volumes,
    }
    if spec.gang is not None:
        pod["subdomain"] = name_job(Handle(spec.run_id, spec.attempt))
    if address.account:
        pod["serviceAccountName"] = address.account
    if address.pull:
        pod["imagePullSecrets"] = [{"name": address.pull}]
    if address.selector:
        pod["nodeSelector"] = dict(address.selector)
    if address.tolerations:
        pod["tolerations"] = [_make_toleration(*each) for each in address.tolerations]
    if spec.node and address.share is None:
        field = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [spec.node]}]}
        preferred = [{"weight": 100, "preference": field}]
        pod["affinity"] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    return pod


def _make_container(spec: Spec, address: Address, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    asked = spec.resources
    amounts = {"cpu": f"{math.ceil(asked.cpus * 1000 - 1e-6)}m"}
    if asked.memory_bytes:
        amounts["memory"] = str(asked.memory_bytes)
    if asked.gpus:
        amounts[address.gpu] = str(math.ceil(asked.gpus))
    secret = {"name": name_job(Handle(spec.run_id, spec.attempt)), "key": VARIABLE}
    # Whichever user the cluster chooses has no home of its own in the image.
    told = {"HOME": _SCRATCH, "TMPDIR": _SCRATCH, "PYTHONUNBUFFERED": "1"} | address.reach.variables
    variables: list[dict[str, Any]] = [{"name": name, "value": text} for name, text in told.items()]
    variables.append({"name": VARIABLE, "valueFrom": {"secretKeyRef": secret}})
    if spec.gang is not None:
        variables.append({"name": RANK, "valueFrom": {"fieldRef": {"fieldPath": _INDEX}}})
    return {
        "name": CONTAINER,
        "image": address.image,
        "command": [address.python, "-P", "-m", "mainspring.worker.once"],
        "workingDir": _SCRATCH,
        "env": variables,
        "envFrom": [{"secretRef": {"name": name}} for name in address.secrets],
        "resources": {"requests": amounts, "limits": {name: text for name, text in amounts.items() if name != "cpu"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": mounts,
    }


def _make_toleration(key: str, value: str, effect: str) -> dict[str, str]:
    found = {"key": key, "operator": "Equal" if value else "Exists"}
    return found | ({"value": value} if value else {}) | ({"effect": effect} if effect else {})
