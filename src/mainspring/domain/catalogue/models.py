"""Models, gates and promotion."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "MODEL-001",
        "not_found",
        "no such model version",
        "nothing was registered under that reference",
        "mainspring models",
    ),
    Entry(
        "MODEL-002",
        "invalid",
        "this object cannot be registered",
        "no flavor knows how to write it in a safe format",
        "register a scikit-learn or LightGBM model, or pass allow_code=True to keep it as sealed code",
    ),
    Entry(
        "MODEL-003",
        "failed",
        "the ONNX form of the model answers differently",
        "the conversion does not reproduce the model on the example rows, so only the native form was kept",
        "train on float32 columns, put categories through an OrdinalEncoder, or serve the slower native form",
    ),
    Entry(
        "MODEL-004",
        "invalid",
        "an example column has a type that no model input can have",
        "inputs are numbers, booleans and text",
        "derive numbers or text from the column, or leave it out of the features",
    ),
    Entry(
        "MODEL-005",
        "invalid",
        "an input is missing",
        "the model's signature names every column it was trained on",
        "send every input; mainspring models show NAME tells them",
    ),
    Entry(
        "MODEL-006",
        "invalid",
        "an input too many",
        "the model's signature has no such input",
        "leave the column out; mainspring models show NAME tells the inputs",
    ),
    Entry(
        "MODEL-007",
        "invalid",
        "an input of another type",
        "the model was trained on another datatype",
        "send the datatype that the signature names; mainspring models show NAME tells it",
    ),
    Entry(
        "MODEL-008",
        "invalid",
        "inputs of different lengths",
        "every input is one column with one value for each row, and there is at least one row",
        "send columns of equal length",
    ),
    Entry(
        "MODEL-009",
        "invalid",
        "a null in an input that takes none",
        "the model cannot compute with a missing value there",
        "fill the value before asking, or train a model that takes missing values",
    ),
    Entry(
        "MODEL-010",
        "invalid",
        "the files of the model cannot be read",
        "a file is missing, cut short or of a format that no installed flavor reads",
        "mainspring doctor",
    ),
    Entry(
        "MODEL-011",
        "unavailable",
        "a library of the model is not installed",
        "the model's format needs a package that this Python does not have",
        "pip install 'mainspring[ml]'",
    ),
    Entry(
        "MODEL-012",
        "invalid",
        "a goal that cannot be measured",
        "a goal says what for, by which metric and who answers for it",
        'ms.Goal("fewer late parcels", metric="log_loss", owner="ops@shop.example")',
    ),
    Entry(
        "MODEL-013",
        "denied",
        "a model that is code",
        "it was registered with allow_code=True, and is opened only by processes that hold the project's key",
        "register a scikit-learn or LightGBM model, which is written in a safe format",
    ),
    Entry(
        "GATE-001",
        "invalid",
        "a gate that makes no sense",
        "a gate names metrics, margins and limits that exist, over one kind of task",
        "correct the gate and apply it again",
    ),
    Entry(
        "GATE-002",
        "invalid",
        "the judging rows lack a column",
        "a gate reads its target and its slices, and both models their inputs, from the same rows",
        "promote with data that has the column, or correct the gate",
    ),
    Entry(
        "GATE-004",
        "invalid",
        "predictions that are no numbers",
        "a model that answers NaN or infinity cannot be judged",
        "find the rows with ms.Model(...).predict(rows), and train on cleaner data",
    ),
    Entry(
        "GATE-005",
        "invalid",
        "too few rows to judge by",
        "a verdict on few rows would be chance",
        "promote with more data, or lower min_rows in the gate",
    ),
    Entry(
        "GATE-006",
        "invalid",
        "labels that the gate's metrics cannot judge",
        "metrics of classification need both labels, 0 and 1",
        "promote with data whose target holds both, or use metrics of regression",
    ),
)
