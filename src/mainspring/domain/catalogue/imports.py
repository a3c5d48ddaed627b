"""Records that come from elsewhere, and go there."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "IMPORT-001",
        "denied",
        "the other server lets nobody in",
        "it asks for a token, or for a user and a password, and knows none of those that were shown",
        "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    ),
    Entry(
        "IMPORT-002",
        "invalid",
        "files that the other server does not serve",
        "it keeps them in a place of its own that clients reach by themselves, and only what it serves is brought",
        "start it with --serve-artifacts and an artifact root of mlflow-artifacts:/, or import with --no-files",
    ),
    Entry(
        "IMPORT-003",
        "not_found",
        "the other server has no such thing",
        "it was removed meanwhile, or the server is an older one that does not speak this part of the protocol",
        "import again; upgrade the server when it happens again",
    ),
    Entry(
        "IMPORT-004",
        "invalid",
        "the other server refuses",
        "it has rules of its own about what it takes",
        "read its words, mend what they name, and begin again: what went through is not sent twice",
    ),
    Entry(
        "IMPORT-005",
        "invalid",
        "no id to import",
        "runs and logged models keep the ids that they had, so those must be ids here too",
        "import from an MLflow server, whose ids are 32 hexadecimal characters",
    ),
    Entry(
        "IMPORT-006",
        "conflict",
        "an id that is taken",
        "ids are unique in a record, over all of its projects",
        "import into the project that it was imported into before, or into a home of its own",
    ),
    Entry(
        "IMPORT-007",
        "not_found",
        "no exported folder",
        "a folder to be imported has a head, by which it is known",
        "name the folder that `mainspring export mlflow FOLDER` was given",
    ),
    Entry(
        "IMPORT-008",
        "invalid",
        "an exported folder that is damaged",
        "something of it is missing, cut or changed, or it was written by a later release",
        "export again into the same folder, which mends it; nothing of what is damaged was brought",
    ),
    Entry(
        "IMPORT-009",
        "invalid",
        "a folder that holds something else",
        "an export writes into a folder of its own, and takes nothing for its own that it has not written",
        "name a folder that is empty, is not there yet, or was exported to before",
    ),
)
