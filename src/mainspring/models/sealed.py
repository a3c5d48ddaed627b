"""Models kept as code: pickled, sealed with the project's key; only for who asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mainspring.domain.errors import Failed, Invalid
from mainspring.models.apart import Apart
from mainspring.models.columns import Array, to_columns
from mainspring.models.package import EXAMPLE_ROWS, Package, measure_latency_ms, write_request
from mainspring.models.parity import Parity
from mainspring.models.runtime import SEALED_FILE, SIGNATURE_FILE
from mainspring.models.signature import Column, Signature, infer
from mainspring.security.seals import Seal
from mainspring.security.unsafe import unpickle_allowed


class SealedPredictor:
    """A predictor over any object with ``predict``, or any function of a frame, in a process of its own.

    Parameters
    ----------
    code : bytes
        The object's pickle, whose seal was checked. The object gets a Polars frame and returns a value for each row,
        or a row of values; with ``predict_proba`` the probability of the second of two classes is answered, too, or of
        each when there are more. A PyTorch module gets tensors as `torch.export` would give them.
    signature : Signature
        Its outputs are found out by a first call when there are none.
    """

    format = "sealed"

    def __init__(self, code: bytes, signature: Signature) -> None:
        self.code = code
        self.signature = signature
        self._apart = Apart(code)

    @property
    def model(self) -> Any:
        """The object itself, opened in this process."""
        return unpickle_allowed(self.code)

    def predict(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name; see `mainspring.models.runtime.Predictor`."""
        return self._apart.ask(columns)


def seal_package(model: Any, example: Any, seal: Seal) -> Package:
    """Package an object that has no safe format, because the user allowed it.

    Parameters
    ----------
    model : object
        Anything that can be pickled and asked as `SealedPredictor` tells.
    example : frame or mapping
        Rows with exactly the model's inputs.
    seal : Seal
        The project's; without its key nobody opens the file.

    Raises
    ------
    Invalid
        MODEL-002 when it cannot be pickled, or does not answer the example.
    Unavailable
        MODEL-011 when its code needs a package that is not installed.
    """
    import cloudpickle

    columns = to_columns(example)
    signature = infer(columns)
    kind = type(model).__name__
    try:
        code = cloudpickle.dumps(model)
    except Exception as fault:  # noqa: BLE001  a user's object may raise anything
        raise Invalid("MODEL-002", f"{kind} cannot be kept: {type(fault).__name__}: {fault}") from None
    predictor = SealedPredictor(code, signature)
    try:
        answer = predictor.predict(signature.check(columns))
    except Failed as fault:
        raise Invalid("MODEL-002", f"{kind} cannot be kept: {fault.what}") from None
    content = seal.seal(code)
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
