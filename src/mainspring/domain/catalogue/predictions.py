"""Errors of predictions of whole datasets."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "BATCH-001",
        "invalid",
        "predictions over the rows that they are made of",
        "a dataset that is read and written by the same run has no lineage that could be repeated",
        'give another name: ms.Model("MODEL").predict(data, to="scores")',
    ),
    Entry(
        "BATCH-002",
        "invalid",
        "no rows to predict",
        "a version without rows would make an empty dataset, which nothing tells from a failure",
        "look at the rows with mainspring data show NAME",
    ),
    Entry(
        "BATCH-003",
        "invalid",
        "columns of predictions that cannot be named so",
        "each column of the result has one name, and comes from the rows or from an output of the model",
        'choose the columns with keep=[...], or name outputs with outputs={"probability": "p_late"}',
    ),
    Entry(
        "BATCH-004",
        "invalid",
        "predictions of no dataset",
        "a run goes on after a kill only where its rows are a version that can be read again",
        "write the rows first, with ms.write, and name the dataset",
    ),
    Entry(
        "BATCH-005",
        "invalid",
        "a key that several rows have",
        "predictions are joined with what comes true by their key",
        "give key= with columns that identify a row, or remove the rows that are there twice",
    ),
    Entry(
        "BATCH-006",
        "invalid",
        "predictions that do not fit the dataset",
        "what is appended has the columns of the rows before it, sealed likewise, and no contract to keep",
        'write to another name, or with mode="overwrite"',
    ),
)
