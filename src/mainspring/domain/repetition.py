"""Which commands may be asked twice without harm, so that nothing is kept to tell a repetition."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mainspring.domain.command import Command

if TYPE_CHECKING:
    from mainspring.domain.experiments import LogBatch

REPEATABLE = frozenset(
    {
        "Heartbeat",
        "LeaseRun",
        "Report",
        "FinishRun",
        "GetRun",
        "GetCall",
        "Rehearse",
        "ListRuns",
        "SearchRuns",
        "WaitRuns",
        "CancelRuns",
        "GetSeries",
        "GetLogs",
        "PutVersion",
        "GetVersion",
        "ListVersions",
        "ListReads",
        "GetDeclaration",
        "GetVerdict",
        "GetService",
        "ListServices",
        "ListAlarms",
        "ListRenewals",
        "ListEvents",
        "Explain",
        "GetStatus",
        "Stop",
        "PutProvenance",
        "GetProvenance",
        "ListArtifacts",
        "TagRun",
        "CompareRuns",
        "ImportRun",
        "ImportLoggedModel",
        "GetLoggedModel",
        "HideLoggedModel",
        "SearchLoggedModels",
        "ListFiles",
        "FindFile",
        "OfferFile",
        "PutFiles",
        "FindBlob",
        "HoldBlob",
        "NoteUpload",
        "GetExperiment",
        "SearchExperiments",
        "GetLoggedRun",
        "SetRun",
        "LogInputs",
        "ListDatasetInputs",
        "ListGates",
        "GetLineage",
        "GetGate",
        "GetModel",
        "ListModels",
        "DescribeModel",
        "SearchModels",
        "SearchVersions",
        "FindRuns",
        "ReadHistory",
        "SampleHistories",
        "SetPassword",
        "FindPassword",
        "WhoAmI",
        "ListProjects",
        "GetUser",
        "ListUsers",
        "ListTokens",
        "ListSecrets",
        "GetSecret",
        "UseSecret",
        "ListAudit",
        "GetAuditHeads",
        "ListSinks",
        "GetSink",
        "TakeDeliveries",
        "ReportDelivery",
    }
)
"""Names of commands, so that none is loaded to be found here. Whoever asks another one gives it an idempotency key."""


def is_repeatable(command: Command) -> bool:
    """Tell whether a command may be asked twice without harm.

    Examples
    --------
    >>> from mainspring.domain import experiments, messages
    >>> is_repeatable(messages.GetRun(id="a")), is_repeatable(messages.MoveAlias("model", "delays", "best", 1))
    (True, False)
    >>> is_repeatable(experiments.LogBatch(run_id="a", tags={"team": "air"}))
    True
    >>> is_repeatable(experiments.LogBatch(run_id="a", remove=("team",)))
    False
    """
    name = type(command).__name__
    if name == "LogBatch":
        batch = cast("LogBatch", command)
        return not batch.remove and not batch.of_models  # equal points, parameters and tags are logged once
    return name in REPEATABLE
