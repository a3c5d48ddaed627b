"""Which commands may be asked twice without harm, so that nothing is kept to tell a repetition."""

from __future__ import annotations

from mainspring.domain import (
    access,
    experiments,
    files,
    gates,
    imports,
    lineage,
    loggedmodels,
    messages,
    passwords,
    registry,
    rehearsals,
    retries,
    searches,
    sinks,
    tracking,
    transfers,
)
from mainspring.domain.command import Command

REPEATABLE: frozenset[type[Command]] = frozenset(
    {
        messages.Heartbeat,
        messages.LeaseRun,
        messages.Report,
        messages.FinishRun,
        messages.GetRun,
        retries.GetCall,
        rehearsals.Rehearse,
        messages.ListRuns,
        messages.SearchRuns,
        messages.WaitRuns,
        messages.CancelRuns,
        messages.GetSeries,
        messages.GetLogs,
        messages.PutVersion,
        messages.GetVersion,
        messages.ListVersions,
        messages.ListReads,
        messages.GetDeclaration,
        messages.GetVerdict,
        messages.GetService,
        messages.ListServices,
        messages.ListAlarms,
        messages.ListRenewals,
        messages.ListEvents,
        messages.Explain,
        messages.GetStatus,
        messages.Stop,
        tracking.PutProvenance,
        tracking.GetProvenance,
        tracking.ListArtifacts,
        tracking.TagRun,
        tracking.CompareRuns,
        imports.ImportRun,
        imports.ImportLoggedModel,
        loggedmodels.GetLoggedModel,
        loggedmodels.HideLoggedModel,
        loggedmodels.SearchLoggedModels,
        files.ListFiles,
        files.FindFile,
        files.OfferFile,
        files.PutFiles,
        transfers.FindBlob,
        transfers.HoldBlob,
        transfers.NoteUpload,
        experiments.GetExperiment,
        experiments.SearchExperiments,
        experiments.GetLoggedRun,
        experiments.SetRun,
        experiments.LogInputs,
        experiments.ListDatasetInputs,
        gates.ListGates,
        lineage.GetLineage,
        gates.GetGate,
        registry.GetModel,
        registry.ListModels,
        registry.DescribeModel,
        registry.SearchModels,
        registry.SearchVersions,
        searches.FindRuns,
        searches.ReadHistory,
        searches.SampleHistories,
        passwords.SetPassword,
        passwords.FindPassword,
        access.WhoAmI,
        access.ListProjects,
        access.GetUser,
        access.ListUsers,
        access.ListTokens,
        access.ListSecrets,
        access.GetSecret,
        access.UseSecret,
        access.ListAudit,
        access.GetAuditHeads,
        sinks.ListSinks,
        sinks.GetSink,
        sinks.TakeDeliveries,
        sinks.ReportDelivery,
    }
)
"""Whoever asks another one gives it an idempotency key, so that it takes effect once."""


def is_repeatable(command: Command) -> bool:
    """Tell whether a command may be asked twice without harm.

    Examples
    --------
    >>> is_repeatable(messages.GetRun(id="a")), is_repeatable(messages.MoveAlias("model", "delays", "best", 1))
    (True, False)
    >>> is_repeatable(experiments.LogBatch(run_id="a", tags={"team": "air"}))
    True
    >>> is_repeatable(experiments.LogBatch(run_id="a", remove=("team",)))
    False
    """
    if type(command) is experiments.LogBatch:
        return not command.remove and not command.of_models  # equal points, parameters and tags are logged once
    return type(command) in REPEATABLE
