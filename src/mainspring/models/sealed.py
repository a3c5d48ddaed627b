"""Models kept as code: pickled, sealed with the project's key; only for who asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from mainspring.domain.errors import Invalid
from mainspring.models.columns import Array, to_columns
from mainspring.models.package import EXAMPLE_ROWS, Package, measure_latency_ms, write_request
from mainspring.models.parity import Parity
from mainspring.models.runtime import SEALED_FILE, SIGNATURE_FILE
from mainspring.models.signature import Column, Signature, infer
from mainspring.security.seals import Seal


class SealedPredictor:
    """A predictor over any object with ``predict``, or any function of a frame.

    Parameters
    ----------
    model : object
        It gets a Polars frame and returns one value for each row; with ``predict_proba`` the
        probability of the second of two classes is answered, too, or of each when there are more.
    signature : Signature
        Its outputs are found out by a first call when there are none.
    """

    format = "sealed"

    def __init__(self, model: Any, signature: Signature) -> None:
        self.model = model
        self.signature = signature

    def predict(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name; see `mainspring.models.runtime.Predictor`."""
        import polars as pl

        rows = pl.DataFrame({name: pl.Series(values.tolist()) for name, values in columns.items()})
        probabilities = getattr(self.model, "predict_proba", None)
        given = np.asarray(getattr(self.model, "predict", self.model)(rows)).reshape(len(rows))
        if probabilities is None:
            return {"value": given.astype(np.float64)}
        known = np.asarray(probabilities(rows)).astype(np.float64)
        return {"label": given, "probability": known[:, 1] if known.shape[1] == 2 else known}


def seal_package(model: Any, example: Any, seal: Seal) -> Package:
    """Package an object that has no safe format, because the user allowed it.

    Parameters
    ----------
    model : object
        Anything that can be pickled and called as `SealedPredictor` calls it.
    example : frame or mapping
        Rows with exactly the model's inputs.
    seal : Seal
        The project's; without its key nobody opens the file.

    Raises
    ------
    Invalid
        MODEL-002 when it cannot be pickled, or does not answer the example.
    """
    import cloudpickle

    columns = to_columns(example)
    signature = infer(columns)
    predictor = SealedPredictor(model, signature)
    try:
        content = seal.seal(cloudpickle.dumps(model))
        answer = predictor.predict(signature.check(columns))
    except Exception as fault:  # noqa: BLE001  a user's object may raise anything
        raise Invalid("MODEL-002", f"{type(model).__name__} cannot be kept: {type(fault).__name__}: {fault}") from None
    outputs = [_describe_output(name, values) for name, values in answer.items()]
    signature = predictor.signature = Signature(signature.inputs, tuple(outputs))
    checked = signature.check(columns)
    return Package(
        files={
            SEALED_FILE: content,
            SIGNATURE_FILE: msgspec.json.format(msgspec.json.encode(signature), indent=1),
            "example.json": write_request(checked, signature, EXAMPLE_ROWS),
        },
        signature=signature,
        format=predictor.format,
        parity=Parity(problem="sealed code has no other form"),
        params={},
        environment={},
        size_bytes=len(content),
        latency_ms=measure_latency_ms(predictor, checked),
    )


def _describe_output(name: str, values: Array) -> Column:
    datatype: Any = {"O": "BYTES", "U": "BYTES", "b": "BOOL", "i": "INT64", "u": "INT64"}.get(values.dtype.kind, "FP64")
    return Column(name, datatype, width=values.shape[1] if values.ndim == 2 else 1)
