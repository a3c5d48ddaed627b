"""The table of the native API: what each verb of each path asks the owner.

Everything else is made from it: the routes themselves, the OpenAPI document, the reference, and the
tests of who may.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_origin

import msgspec

from mainspring.domain import (
    access,
    gates,
    lineage,
    messages,
    planning,
    pools,
    predictions,
    preemptions,
    quotas,
    registry,
    retries,
    sinks,
    tracking,
    transfers,
    triggers,
    upkeep,
)
from mainspring.domain.answers import answer_of
from mainspring.domain.messages import Command, Nothing
from mainspring.domain.records import Run

PREFIX = "/api/v1"


class Entry(msgspec.Struct, frozen=True):
    """One verb of one path.

    Attributes
    ----------
    method : str
        GET, POST, PUT or DELETE.
    path : str
        Below `PREFIX`; what stands in braces is a field of the command.
    command : type of Command
        What is asked; the fields that neither path nor `fixed` give are parameters of the query, or
        the fields of a body of JSON.
    fixed : dict of str to JSON
        Fields that the route gives.
    left_out : tuple of str
        Fields that only a worker gives.
    build : callable or None
        Makes the command of the fields where the names differ.
    status : int
        Of the answer.
    """

    method: str
    path: str
    command: type[Command]
    fixed: dict[str, Any] = {}
    left_out: tuple[str, ...] = ()
    build: Callable[..., Command] | None = None
    status: int = 200

    @property
    def name(self) -> str:
        """A name of its own: the command, and the kind that the route gives."""
        kind = str(self.fixed.get("kind", ""))
        return f"{self.command.__name__}{kind.capitalize()}"

    @property
    def writes(self) -> bool:
        """It may change something."""
        return self.method != "GET"

    @property
    def has_body(self) -> bool:
        """Its fields come as a body of JSON."""
        return self.method in {"POST", "PUT"}

    @property
    def answer(self) -> Any:
        """Type of the answer; None: there is none."""
        answer = answer_of(self.command)
        return None if answer is Nothing else answer


class Transfer(msgspec.Struct, frozen=True):
    """One verb of one path by which bytes travel as they are.

    Attributes
    ----------
    method, path
        As of an `Entry`.
    command : type of Command
        What the owner is asked before anything of the body is read or sent: it decides who may.
    text : str
        What it does.
    """

    method: str
    path: str
    command: type[Command]
    text: str

    @property
    def name(self) -> str:
        """A name of its own."""
        return f"{self.method.lower()}{''.join(part.capitalize() for part in self.path.split('/') if part.isalpha())}"

    @property
    def writes(self) -> bool:
        """It may change something."""
        return self.method != "GET"


def _cancel(id: str, reason: str) -> Command:  # noqa: A002 - the name in the path
    return messages.CancelRuns(ids=[id], reason=reason)


def _delete(id: str, dry_run: bool) -> Command:  # noqa: A002
    return upkeep.DeleteRuns(ids=[id], dry_run=dry_run)


def _restore(id: str) -> Command:  # noqa: A002
    return upkeep.RestoreRuns(ids=[id])


def _preempt(id: str) -> Command:  # noqa: A002 - the name in the path
    return preemptions.PreemptRuns(ids=[id])


def _retry(id: str, anew: str = "") -> Command:  # noqa: A002 - the name in the path
    return retries.RetryRuns(ids=[id], anew=anew)


TABLE: tuple[Entry, ...] = (
    Entry("GET", "/status", messages.GetStatus),
    Entry("GET", "/me", access.WhoAmI),
    Entry("GET", "/runs", messages.SearchRuns),
    Entry("GET", "/runs/{id}", messages.GetRun),
    Entry("DELETE", "/runs/{id}", upkeep.DeleteRuns, left_out=("filter", "page"), build=_delete),
    Entry("GET", "/runs/{id}/call", retries.GetCall),
    Entry("POST", "/runs/{id}/cancel", messages.CancelRuns, build=_cancel),
    Entry("POST", "/runs/{id}/preempt", preemptions.PreemptRuns, build=_preempt),
    Entry("POST", "/runs/{id}/retry", retries.RetryRuns, build=_retry),
    Entry("POST", "/runs/{id}/restore", upkeep.RestoreRuns, build=_restore),
    Entry("GET", "/runs/{run_id}/series/{key}", messages.GetSeries),
    Entry("GET", "/runs/{run_id}/logs", messages.GetLogs),
    Entry("GET", "/runs/{run_id}/reads", messages.ListReads),
    Entry("GET", "/runs/{run_id}/verdict", messages.GetVerdict),
    Entry("GET", "/runs/{run_id}/artifacts", tracking.ListArtifacts),
    Entry("GET", "/runs/{run_id}/provenance", tracking.GetProvenance),
    Entry("PUT", "/runs/{run_id}/tags", tracking.TagRun),
    Entry("GET", "/runs/{before}/diff/{after}", tracking.CompareRuns),
    Entry("GET", "/datasets", messages.ListVersions, {"kind": "dataset"}),
    Entry("GET", "/datasets/{reference}", messages.GetVersion, {"kind": "dataset"}, ("run_id", "follower")),
    Entry("GET", "/datasets/{reference}/lineage", lineage.GetLineage, {"kind": "dataset"}),
    Entry("DELETE", "/datasets/{reference}", upkeep.DeleteVersions, {"kind": "dataset"}),
    Entry("POST", "/datasets/{reference}/restore", upkeep.RestoreVersions, {"kind": "dataset"}),
    Entry("PUT", "/datasets/{name}/aliases/{alias}", messages.MoveAlias, {"kind": "dataset"}),
    Entry("GET", "/models", messages.ListVersions, {"kind": "model"}),
    Entry("GET", "/models/{reference}", messages.GetVersion, {"kind": "model"}, ("run_id", "follower")),
    Entry("GET", "/models/{reference}/lineage", lineage.GetLineage, {"kind": "model"}),
    Entry("DELETE", "/models/{reference}", upkeep.DeleteVersions, {"kind": "model"}),
    Entry("POST", "/models/{reference}/restore", upkeep.RestoreVersions, {"kind": "model"}),
    Entry("PUT", "/models/{name}/aliases/{alias}", messages.MoveAlias, {"kind": "model"}),
    Entry("DELETE", "/models/{name}/aliases/{alias}", registry.DropAlias),
    Entry("POST", "/models/{model}/promote", messages.Promote, left_out=("run_id",)),
    Entry("POST", "/models/{reference}/test", registry.ProveModel),
    Entry("GET", "/registry", registry.ListModels),
    Entry("POST", "/registry", registry.RegisterModel, status=201),
    Entry("GET", "/registry/{name}", registry.GetModel),
    Entry("PUT", "/registry/{name}", registry.DescribeModel),
    Entry("POST", "/registry/{name}/rename", registry.RenameModel),
    Entry("GET", "/gates", gates.ListGates),
    Entry("GET", "/gates/{model}/{alias}", gates.GetGate),
    Entry("DELETE", "/gates/{model}/{alias}", gates.RemoveGate),
    Entry("POST", "/models/{model}/predict", predictions.Predict, left_out=("run_id",)),
    Entry("POST", "/declarations", messages.Apply),
    Entry("GET", "/declarations/{kind}/{name}", messages.GetDeclaration),
    Entry("GET", "/pipelines", triggers.ListPipelines),
    Entry("GET", "/pipelines/{name}", triggers.GetPipeline),
    Entry("DELETE", "/pipelines/{name}", triggers.RemovePipeline),
    Entry("POST", "/pipelines/{name}/start", triggers.StartPipeline),
    Entry("POST", "/pipelines/{name}/pause", triggers.PausePipeline),
    Entry("POST", "/pipelines/{name}/resume", triggers.ResumePipeline),
    Entry("GET", "/services", messages.ListServices),
    Entry("GET", "/services/{name}", messages.GetService),
    Entry("PUT", "/services/{name}", messages.Deploy, left_out=("run_id",)),
    Entry("POST", "/services/{name}/stop", messages.StopService),
    Entry("POST", "/services/{name}/rollback", messages.RollbackService),
    Entry("POST", "/services/{name}/check", messages.CheckService),
    Entry("GET", "/alarms", messages.ListAlarms),
    Entry("GET", "/renewals", messages.ListRenewals),
    Entry("GET", "/events", messages.ListEvents),
    Entry("GET", "/why/{thing:path}", messages.Explain),
    Entry("GET", "/deleted", upkeep.ListDeleted),
    Entry("GET", "/projects", access.ListProjects),
    Entry("POST", "/projects", access.AddProject, status=201),
    Entry("PUT", "/projects/{name}", access.SetProject),
    Entry("DELETE", "/projects/{name}", access.RemoveProject, status=204),
    Entry("GET", "/users", access.ListUsers),
    Entry("POST", "/users", access.AddUser, status=201),
    Entry("GET", "/users/{name}", access.GetUser, left_out=("identity",)),
    Entry("DELETE", "/users/{name}", access.RemoveUser),
    Entry("PUT", "/users/{name}/role", access.GrantRole),
    Entry("DELETE", "/users/{name}/role", access.RevokeRole),
    Entry("GET", "/tokens", access.ListTokens),
    Entry("POST", "/tokens", access.IssueToken, status=201),
    Entry("DELETE", "/tokens/{id}", access.RevokeToken),
    Entry("GET", "/secrets", access.ListSecrets),
    Entry("GET", "/secrets/{name}", access.GetSecret),
    Entry("PUT", "/secrets/{name}", access.AddSecret),
    Entry("DELETE", "/secrets/{name}", access.RemoveSecret),
    Entry("GET", "/pools", pools.ListPools),
    Entry("GET", "/pools/{name}", pools.GetPool),
    Entry("PUT", "/pools/{name}", pools.AddPool),
    Entry("DELETE", "/pools/{name}", pools.RemovePool),
    Entry("GET", "/nodes", pools.ListNodes),
    Entry("POST", "/nodes/{place:path}/drain", pools.DrainNode),
    Entry("POST", "/nodes/{place:path}/resume", pools.ResumeNode),
    Entry("GET", "/quotas", quotas.ListQuotas),
    Entry("PUT", "/quotas/{tenant:path}", quotas.SetQuota),
    Entry("DELETE", "/quotas/{tenant:path}", quotas.RemoveQuota),
    Entry("GET", "/queue", planning.GetQueue),
    Entry("GET", "/stays", planning.ListStays),
    Entry("GET", "/sinks", sinks.ListSinks),
    Entry("GET", "/sinks/{name}", sinks.GetSink),
    Entry("PUT", "/sinks/{name}", sinks.AddSink),
    Entry("DELETE", "/sinks/{name}", sinks.RemoveSink),
    Entry("POST", "/sinks/{name}/test", sinks.TestSink),
    Entry("POST", "/sinks/{name}/resend", sinks.ResendEvents),
    Entry("POST", "/keys/rotate", access.RotateKeys),
    Entry("GET", "/audit", access.ListAudit),
    Entry("GET", "/audit/heads", access.GetAuditHeads),
)
"""Each verb of each path that the owner answers."""


TRANSFERS: tuple[Transfer, ...] = (
    Transfer("GET", "/blobs/{digest}", transfers.FindBlob, "The bytes of a blob, or a range of them."),
    Transfer("PUT", "/blobs/{digest}", transfers.HoldBlob, "Store bytes under their SHA-256 and claim them."),
    Transfer(
        "POST",
        "/blobs/{digest}/hold",
        transfers.HoldBlob,
        "Claim a blob that is there whole and that the caller may read; `known` tells whether it is.",
    ),
    Transfer(
        "GET",
        "/datasets/{reference}/files/{name}",
        messages.GetVersion,
        "A file of a version's rows, or a range of it; `Mainspring-SHA256` tells its digest.",
    ),
)
"""Each verb of each path by which bytes travel."""


def paths() -> dict[str, dict[str, Entry]]:
    """Return path -> verb -> entry."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in TABLE:
        found.setdefault(entry.path, {})[entry.method] = entry
    return found


def find_item(entry: Entry) -> Any:
    """Return the type of which fields can be chosen: the answer's, its list's or its page's; None: none."""
    answer = entry.answer
    if answer is messages.RunPage:
        return Run
    item = get_args(answer)[0] if get_origin(answer) is list else answer
    return item if hasattr(item, "__struct_fields__") else None
