"""Files of runs and logged models."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "FILE-001",
        "invalid",
        "no path of a file",
        "a path is taken as it is or refused, never cleaned, so that it names one file for every reader",
        "give a plain relative path such as plots/roc.png",
    ),
    Entry(
        "FILE-002",
        "not_found",
        "no such file",
        "the run or model has no file of this path, or it was deleted",
        "list the files of the folder first",
    ),
    Entry(
        "FILE-003",
        "failed",
        "a file whose bytes are damaged",
        "the blob on disk was cut or swapped since it was put",
        "put the file again, or restore the home's blobs from a backup",
        500,
    ),
    Entry(
        "FILE-004",
        "invalid",
        "a place that holds no files",
        "files belong to a run, a logged model or a version of a registered model",
        "name EXPERIMENT/RUN/artifacts/PATH, EXPERIMENT/models/m-ID/artifacts/PATH or models/NAME/NUMBER/PATH",
    ),
    Entry(
        "FILE-005",
        "invalid",
        "a source that is not taken",
        "files of a version come from this record alone, so that nobody has the server read an address of his own",
        "give runs:/ID/PATH, models:/m-ID or mlflow-artifacts:/EXPERIMENT/ID/artifacts/PATH",
    ),
    Entry(
        "LMODEL-001",
        "not_found",
        "no such logged model",
        "there is none of this id in the project, or it was deleted",
        "search the logged models of its experiment",
    ),
    Entry(
        "LMODEL-002",
        "conflict",
        "a parameter of a logged model that would change",
        "parameters say how a model came to be, and that does not change",
        "log another model, or use a tag",
    ),
    Entry(
        "LMODEL-003",
        "not_found",
        "no such tag of a logged model",
        "a tag that is removed must be there",
        "look at the tags of the model first",
    ),
    Entry(
        "LMODEL-004",
        "invalid",
        "a search of logged models that is none",
        "attributes are a closed list, and each kind of value has signs of its own",
        "search by name, model_id, model_type, status, source_run_id, metrics.X, params.X or tags.X",
    ),
    Entry(
        "LMODEL-005",
        "invalid",
        "a page of another search",
        "a page continues the very search that named it",
        "ask for the first page of this search",
    ),
)
