"""What answers each command of the wire."""

from __future__ import annotations

from typing import Any

from mainspring.domain import (
    access,
    environments,
    files,
    messages,
    records,
    rehearsals,
    retries,
    sinks,
    tracking,
    transfers,
    triggers,
    upkeep,
)
from mainspring.domain.command import Command

ANSWERS: dict[type[Command], Any] = {
    messages.BeginRun: messages.Begun,
    messages.SubmitRuns: list[records.Run],
    messages.LeaseRun: messages.Lease,
    messages.Heartbeat: messages.Beats,
    messages.FinishRun: records.Run,
    messages.GetRun: records.Run,
    messages.ListRuns: list[records.Run],
    messages.SearchRuns: messages.RunPage,
    messages.WaitRuns: list[records.Run],
    messages.CancelRuns: list[records.Run],
    messages.GetLogs: messages.Logs,
    messages.PutVersion: records.Version,
    messages.GetVersion: records.Version,
    messages.ListVersions: list[records.Version],
    messages.ListReads: list[records.Version],
    messages.MoveAlias: records.Version,
    messages.Apply: messages.Diff,
    messages.GetDeclaration: records.Declaration,
    messages.Promote: records.Run,
    messages.GetVerdict: records.Verdict,
    messages.Deploy: records.Service,
    messages.GetService: records.Service,
    messages.ListServices: list[records.Service],
    messages.StopService: records.Service,
    messages.RollbackService: records.Service,
    messages.CheckService: records.Run,
    messages.ListAlarms: list[records.Alarm],
    messages.ListRenewals: list[records.Renewal],
    messages.ListEvents: list[records.Event],
    messages.Explain: records.Reason,
    messages.GetStatus: messages.Status,
    messages.Stop: messages.Nothing,
    **access.ANSWERS,
    **environments.ANSWERS,
    **files.ANSWERS,
    **rehearsals.ANSWERS,
    **retries.ANSWERS,
    **sinks.ANSWERS,
    **tracking.ANSWERS,
    **transfers.ANSWERS,
    **triggers.ANSWERS,
    **upkeep.ANSWERS,
}
"""Command -> type of its answer; every command stands here."""
