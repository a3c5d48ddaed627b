"""Datasets, contracts and features."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "DATA-001",
        "invalid",
        "not a reference",
        "references are name, name@12, name@alias or name@2026-11-01",
        "mainspring data",
    ),
    Entry(
        "DATA-002",
        "not_found",
        "no such dataset version",
        "nothing was written under that reference",
        "mainspring data",
    ),
    Entry(
        "DATA-003",
        "invalid",
        "the source cannot be read",
        "the file is missing, is locked away from this user, or is not of the format that its name says",
        "check the path, or name the format: ms.source(path, format='csv')",
    ),
    Entry(
        "DATA-004",
        "invalid",
        "the source is empty",
        "a source needs a header and at least one row; an empty one is nearly always a failed export",
        "check the export that made the file",
    ),
    Entry(
        "DATA-005",
        "invalid",
        "a column is missing",
        "the rows have no column of that name",
        "rename the column, or name one that the rows have",
    ),
    Entry(
        "DATA-006",
        "invalid",
        "a column is of another type",
        "no value of the column can be read as the type that is asked for",
        "correct the annotation in the contract, or convert the column before ms.write",
    ),
    Entry(
        "DATA-007",
        "invalid",
        "the contract names a column that the rows do not have",
        "every column of a contract must be in the rows, so that a renamed column is not taken for missing values",
        "rename the column in the contract or in the source; drop it from the contract when it is gone for good",
    ),
    Entry(
        "DATA-008",
        "invalid",
        "the contract cannot be read",
        "columns are annotated str, int, float, bool, datetime or date, each Optional or not, and ms.Field adds checks",
        "mainspring why DATA-008",
    ),
    Entry(
        "DATA-009",
        "invalid",
        "rows break a check whose policy is fail",
        "the contract says on_fail='fail' for that check, so nothing was written",
        "mend the rows, or let the check quarantine them: ms.Field(..., on_fail='quarantine')",
    ),
    Entry(
        "DATA-010",
        "invalid",
        "the rows cannot be written in that mode",
        "mode is overwrite, append or upsert; an upsert needs key columns whose values are there and differ",
        "ms.write(rows, name, mode='upsert', key='id')",
    ),
    Entry(
        "DATA-011",
        "invalid",
        "a column of a type that tables do not hold",
        "tables hold text, numbers, booleans, dates, timestamps, bytes, lists and structs",
        "convert the column before ms.write, for instance a duration to seconds",
    ),
    Entry(
        "DATA-012",
        "invalid",
        "no connector for that address",
        "connectors are found by the scheme of the address in the entry point group mainspring.connectors",
        "use a path or file:// address, or install the package that brings the connector",
    ),
    Entry(
        "DATA-013",
        "conflict",
        "another writer holds the dataset",
        "one process at a time commits to a dataset; this one waited as long as it may",
        "mainspring runs running",
    ),
    Entry(
        "DATA-014",
        "conflict",
        "another program changed the table",
        "the table's log has a commit that Mainspring did not make, so its rows were never checked or recorded",
        "write the dataset anew with mode='overwrite', or restore the table to the recorded version",
    ),
    Entry(
        "DATA-015",
        "invalid",
        "the dataset cannot be split there",
        "a split needs a time or number column without gaps, and either last= or at= inside its range",
        "dataset.split(by='time', last='14d')",
    ),
    Entry(
        "DATA-016",
        "invalid",
        "the feature view cannot be computed",
        "a view with a source needs entity and event_time, and gives them with its features; "
        "a view without one gives a row of features for each row",
        "mainspring why DATA-016",
    ),
    Entry(
        "DATA-017",
        "invalid",
        "the feature view looks ahead or across rows",
        "the features of sampled rows change when later readings or other rows are taken away, "
        "so training would see what serving cannot",
        "compute each feature from its own row, or from readings up to the row's time",
    ),
    Entry(
        "DATA-018",
        "unavailable",
        "a library is missing",
        "this face of a dataset needs a library that is not installed",
        "pip install 'mainspring[data]'",
    ),
    Entry(
        "DATA-019",
        "invalid",
        "rows whose file is not what was written",
        "a file of the table was cut, swapped or removed from outside, so its rows would not be those of the version",
        "bring the folder of the table back from a backup, or write the rows again",
    ),
)
