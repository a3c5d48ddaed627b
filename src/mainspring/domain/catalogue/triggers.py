"""Schedules, triggers, and what is applied."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "TRIGGER-001",
        "invalid",
        "no expression of cron",
        "a schedule has five fields: minute, hour, day of the month, month, day of the week",
        'ms.Cron("0 6 * * mon-fri", tz="Europe/Berlin")',
    ),
    Entry(
        "TRIGGER-002",
        "invalid",
        "a schedule that never fires",
        "no month that it names has such a day",
        "name a day that the months have, such as 28 or a day of the week",
    ),
    Entry(
        "TRIGGER-003",
        "invalid",
        "no such time zone",
        "time zones have the names of the IANA database, which the system or the package tzdata brings",
        'ms.Cron(..., tz="Europe/Berlin"), or pip install tzdata where the system has no database',
    ),
    Entry(
        "TRIGGER-004",
        "conflict",
        "applied by somebody else meanwhile",
        "what is in force is not what the difference was made against, and nothing was applied",
        "mainspring apply FILE --dry-run, then apply again",
    ),
    Entry(
        "TRIGGER-005",
        "not_found",
        "no such applied pipeline",
        "a pipeline is there once it was applied",
        "mainspring pipelines",
    ),
    Entry(
        "TRIGGER-007",
        "denied",
        "a call of no hook, or not signed",
        "a hook takes what is signed with its own secret, within five minutes of its time",
        "mainspring pipelines show PIPELINE names the hook and its secret",
        401,
    ),
    Entry(
        "TRIGGER-008",
        "unavailable",
        "a hook that is called too often",
        "one hook takes 60 calls at once and one more each second",
        "call again after the time that Retry-After names",
        429,
    ),
    Entry(
        "TRIGGER-009",
        "denied",
        "a bucket that nobody approved",
        "triggers look only into buckets that whoever runs the owner has named, with its credentials",
        "MAINSPRING_BUCKETS=s3://bucket/prefix where the owner starts, then mainspring stop",
    ),
    Entry(
        "TRIGGER-006",
        "invalid",
        "two declarations of one name",
        "a project knows a pipeline, gate, contract or view by its name",
        "rename one of them",
    ),
)
