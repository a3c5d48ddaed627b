"""Which commands may be asked twice without harm, so that nothing is kept to tell a repetition."""

from __future__ import annotations

from mainspring.domain import access, messages, rehearsals, retries, sinks, tracking, transfers
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
        transfers.FindBlob,
        transfers.HoldBlob,
        transfers.NoteUpload,
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
