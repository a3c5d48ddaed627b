"""Backups, restores, upgrades and what is removed from a home."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "SERVER-001",
        "conflict",
        "the place of a backup is taken",
        "a backup makes a folder of its own, so that no earlier one is overwritten",
        "name a folder that is not there yet",
    ),
    Entry(
        "SERVER-002",
        "invalid",
        "no backup, or a damaged one",
        "a backup is a folder with a manifest, and every file that the manifest names has its length and SHA-256",
        "take another backup; nothing was restored",
    ),
    Entry(
        "SERVER-003",
        "conflict",
        "the home is in use",
        "a backup is restored into a home without a record and with no other keys, so that nothing is overwritten",
        "set MAINSPRING_HOME to a new folder, and MAINSPRING_RECORD to an empty database if there is one",
    ),
    Entry(
        "SERVER-004",
        "conflict",
        "a record in another kind of database",
        "a backup is restored into the kind of database that it was taken of: a file, or PostgreSQL",
        "unset MAINSPRING_RECORD for a file, or set it to postgresql://user@host/database",
    ),
    Entry(
        "SERVER-005",
        "conflict",
        "a record whose tables do not match its schema",
        "tables of the schema that the record is marked with are not there, as after a copy that was cut "
        "or a version that was never released; nothing was changed",
        "mainspring server restore BACKUP into a new home, or set MAINSPRING_HOME to a new folder",
    ),
    Entry(
        "SERVER-006",
        "unavailable",
        "an upgrade is not possible now",
        "an upgrade copies the record and writes the tables that it changes anew",
        "free some space on the disk of the home, and see that its folder of backups can be written",
    ),
    Entry(
        "SERVER-007",
        "not_found",
        "there is no record yet",
        "the home was never used, so there is nothing to copy, upgrade or collect",
        "mainspring status, which makes it",
    ),
)
