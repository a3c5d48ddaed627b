"""ONNX Runtime: the form in which models answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mainspring.domain.errors import Invalid, Unavailable
from mainspring.models.columns import NULL_TEXT, Array
from mainspring.models.signature import Signature

try:
    import onnxruntime
except (ImportError, OSError) as _fault:
    raise Unavailable(
        "MODEL-011", f"onnxruntime cannot be imported: {_fault}", fix="pip install 'mainspring[onnx]'"
    ) from None

_NOWHERE = "/nonexistent/mainspring"


class OnnxPredictor:
    """A predictor over an ONNX graph whose inputs are the signature's columns, shaped (rows, 1).

    Parameters
    ----------
    content : bytes
        The serialised graph.
    signature : Signature
        The graph's outputs have the names of its outputs.

    Raises
    ------
    Invalid
        MODEL-010 when the bytes are no graph, or not the graph of that signature.

    Notes
    -----
    One thread: a server's processes are its parallelism, and a row then gets the same answer
    in any batch. Text nulls travel as `mainspring.models.columns.NULL_TEXT`.
    """

    format = "onnx"

    def __init__(self, content: bytes, signature: Signature) -> None:
        self.signature = signature
        self._session = open_session(content)
        self._outputs = [column.name for column in signature.outputs]
        self._texts = {column.name for column in signature.inputs if column.datatype == "BYTES"}
        names = {node.name for node in self._session.get_inputs()}
        wanted = {column.name for column in signature.inputs}
        given = {node.name for node in self._session.get_outputs()}
        if names != wanted or not given.issuperset(self._outputs):
            raise Invalid(
                "MODEL-010", "model.onnx has other inputs or outputs than its signature", inputs=sorted(names)
            )

    def predict(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name; see `mainspring.models.runtime.Predictor`."""
        feed: dict[str, Any] = {
            name: (_fill_nulls(values) if name in self._texts else values).reshape(-1, 1)
            for name, values in columns.items()
        }
        answers = self._session.run(self._outputs, feed)
        return dict(zip(self._outputs, answers, strict=True))


def open_session(content: bytes) -> Any:
    """Return a session of one thread over a graph; MODEL-010 when the bytes are none."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A graph that names files for its weights could have any file of the server read; ours name none.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NOWHERE)
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as fault:  # noqa: BLE001  ONNX Runtime's errors share no documented class
        raise Invalid("MODEL-010", f"model.onnx cannot be loaded: {fault}") from None


def _fill_nulls(values: Array) -> Array:
    null = np.array([item is None for item in values])
    return np.where(null, NULL_TEXT, values) if null.any() else values
