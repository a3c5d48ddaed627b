"""The job ``proof``: a version is loaded as it lies, answers its example, and its two forms are compared again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.domain.messages import GetVersion
from mainspring.models.columns import Array, to_columns
from mainspring.models.package import EXAMPLE_FILE
from mainspring.models.parity import compare
from mainspring.models.runtime import ONNX_FILE, Predictor, load_predictor, read_file
from mainspring.sdk.context import active_run

if TYPE_CHECKING:
    from pathlib import Path

    from mainspring.sdk.client import Client


def prove(arguments: dict[str, Any], client: Client) -> dict[str, Any]:
    """Prove that a version answers.

    Parameters
    ----------
    arguments : dict
        ``model``: a pinned reference.
    client : Client
        Of the home.

    Returns
    -------
    dict
        ``passed``; ``format`` that answered; ``rows`` and ``answers`` of its example; ``parity`` of the two forms,
        where it has two.

    Raises
    ------
    Invalid
        MODEL-010 when a file cannot be read, HOME-014 when one is cut or swapped; MODEL-005 to MODEL-009 when the
        example does not fit the signature.
    Unavailable
        MODEL-011 when a library is not installed.
    """
    active = active_run()
    run_id = active.run.id if active is not None else None
    version = client.ask(GetVersion("model", arguments["model"], run_id))
    files = {name: client.blobs.path(digest) for name, digest in version.manifest.items()}
    predictor = load_predictor(files, seal=client.seal)
    columns = _read_example(files, predictor) if EXAMPLE_FILE in files else {}
    answers = predictor.predict(columns) if columns else {}
    found: dict[str, Any] = {
        "passed": True,
        "format": predictor.format,
        "rows": len(next(iter(columns.values()))) if columns else 0,
        "answers": {name: values.tolist() for name, values in answers.items()},
        "parity": None,
    }
    if ONNX_FILE in files and columns:
        native = load_predictor({name: path for name, path in files.items() if name != ONNX_FILE}, seal=client.seal)
        parity = compare(native.predict, predictor.predict, columns, predictor.signature)
        found |= {"passed": parity.passed, "parity": msgspec.to_builtins(parity)}
    return found


def _read_example(files: dict[str, Path], predictor: Predictor) -> dict[str, Array]:
    example = json.loads(read_file(files, EXAMPLE_FILE))
    return predictor.signature.check(to_columns({each["name"]: each["data"] for each in example["inputs"]}))
