"""From estimators to ONNX graphs that take named columns, each of shape (rows, 1).

A graph has two halves. The head turns the columns into one matrix: the steps of a pipeline
before its estimator, converted by skl2onnx, or a plain concatenation. The tail is the
estimator: our own operators for gradient boosting, skl2onnx for everything else.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from mainspring.domain.errors import Unavailable
from mainspring.models.columns import NULL_TEXT
from mainspring.models.signature import Column, Signature
from mainspring.models.trees import Forest, describe_forest

try:
    import onnx
    import skl2onnx
    from onnx import TensorProto, compose, helper, numpy_helper
    from skl2onnx.common import data_types
except (ImportError, OSError) as _fault:
    raise Unavailable(
        "MODEL-011", f"skl2onnx cannot be imported: {_fault}", fix="pip install 'mainspring[sklearn]'"
    ) from None

# The newest operator sets that every supported onnxruntime runs.
_OPSETS = {"": 18, "ai.onnx.ml": 3}
_IR_VERSION = 8
_MATRIX = "matrix"
_LINKS = {"identity": "Identity", "exp": "Exp", "logistic": "Sigmoid"}
_ELEMENTS = {
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "INT64": TensorProto.INT64,
    "BOOL": TensorProto.BOOL,
    "BYTES": TensorProto.STRING,
}
_TYPES = {
    "FP32": data_types.FloatTensorType,
    "FP64": data_types.DoubleTensorType,
    "INT64": data_types.Int64TensorType,
    "BOOL": data_types.BooleanTensorType,
    "BYTES": data_types.StringTensorType,
}


def convert(steps: Any, estimator: Any, signature: Signature, *, forest: Forest | None, classes: Any) -> bytes:
    """Convert an estimator and the steps before it.

    Parameters
    ----------
    steps : Pipeline or None
        Fitted steps that make the matrix; None: the columns themselves, in order.
    estimator : object
        The fitted estimator.
    signature : Signature
        Inputs and outputs of the graph.
    forest : Forest or None
        The estimator's trees when it is gradient boosting.
    classes : ndarray or None
        Labels of a classifier.

    Returns
    -------
    bytes
        The serialised graph.

    Raises
    ------
    Exception
        Whatever skl2onnx raises for a step that it cannot convert.
    """
    head = _concatenate(signature) if steps is None else _convert_steps(steps, signature)
    matrix = head.graph.output[0]
    tensor = matrix.type.tensor_type
    width = tensor.shape.dim[1].dim_value
    tail = _convert_estimator(estimator, width) if forest is None else _convert_forest(forest, classes)
    tail.input[0].type.tensor_type.elem_type = tensor.elem_type
    whole = compose.merge_models(
        head,
        compose.add_prefix(_make_model(tail), "tail/"),
        io_map=[(matrix.name, f"tail/{tail.input[0].name}")],
        name="model",
        producer_name="mainspring",
    )
    _name_outputs(whole.graph, signature.outputs)
    onnx.checker.check_model(whole)
    content: bytes = whole.SerializeToString(deterministic=True)
    return content


def _concatenate(signature: Signature) -> Any:
    element = TensorProto.FLOAT if all(each.datatype == "FP32" for each in signature.inputs) else TensorProto.DOUBLE
    wide = [f"head/{place}" for place in range(len(signature.inputs))]
    nodes = [
        helper.make_node("Cast", [each.name], [name], to=element)
        for each, name in zip(signature.inputs, wide, strict=True)
    ]
    nodes.append(helper.make_node("Concat", wide, ["head/matrix"], axis=1))
    inputs = [
        helper.make_tensor_value_info(each.name, _ELEMENTS[each.datatype], [None, 1]) for each in signature.inputs
    ]
    output = helper.make_tensor_value_info("head/matrix", element, [None, len(inputs)])
    return _make_model(helper.make_graph(nodes, "head", inputs, [output]))


def _convert_steps(steps: Any, signature: Signature) -> Any:
    given = [(each.name, _TYPES[each.datatype]([None, 1])) for each in signature.inputs]
    head = skl2onnx.convert_sklearn(_spell_nulls(steps), "head", given, target_opset=_OPSETS)
    return _make_model(_rename(head.graph, [each.name for each in signature.inputs]))


def _convert_estimator(estimator: Any, width: int) -> Any:
    """Convert by skl2onnx; in float32, since ONNX Runtime lacks many of its operators in float64."""
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
    given = [(_MATRIX, data_types.FloatTensorType([None, width or None]))]
    tail = skl2onnx.convert_sklearn(estimator, "tail", given, target_opset=_OPSETS, options=options).graph
    tail.node.insert(0, helper.make_node("Cast", ["wide"], [_MATRIX], to=TensorProto.FLOAT))
    tail.input[0].name = "wide"
    return tail


def _convert_forest(forest: Forest, classes: Any) -> Any:
    """Return the graph of a forest: its sums, then the link, then the label."""
    attributes = {
        name: numpy_helper.from_array(value, name) if isinstance(value, np.ndarray) else value
        for name, value in describe_forest(forest).items()
    }
    read = TensorProto.FLOAT if forest.single else TensorProto.DOUBLE
    nodes = [
        helper.make_node("Cast", [_MATRIX], ["read"], to=read),
        helper.make_node("Cast", ["read"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("TreeEnsembleRegressor", ["wide"], ["sums"], domain="ai.onnx.ml", **attributes),
    ]
    constants = []
    if classes is None:
        nodes.append(helper.make_node(_LINKS[forest.link], ["sums"], ["value"]))
        outputs = [helper.make_tensor_value_info("value", TensorProto.FLOAT, [None, 1])]
    else:
        constants = [numpy_helper.from_array(np.asarray(classes), "classes")]
        if forest.link == "logistic":
            constants.append(numpy_helper.from_array(np.zeros((), np.float32), "zero"))
            constants.append(numpy_helper.from_array(np.array([-1], np.int64), "flat"))
            nodes += [
                helper.make_node("Neg", ["sums"], ["against"]),
                helper.make_node("Concat", ["against", "sums"], ["both"], axis=1),
                helper.make_node("Sigmoid", ["both"], ["probabilities"]),
                helper.make_node("Reshape", ["sums", "flat"], ["sum"]),
                helper.make_node("Greater", ["sum", "zero"], ["second"]),
                helper.make_node("Cast", ["second"], ["winner"], to=TensorProto.INT64),
            ]
        else:
            nodes += [
                helper.make_node("Softmax", ["sums"], ["probabilities"], axis=1),
                helper.make_node("ArgMax", ["sums"], ["winner"], axis=1, keepdims=0),
            ]
        nodes.append(helper.make_node("Gather", ["classes", "winner"], ["label"]))
        outputs = [
            helper.make_tensor_value_info("label", constants[0].data_type, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, len(classes)]),
        ]
    given = helper.make_tensor_value_info(_MATRIX, TensorProto.DOUBLE, [None, None])
    return helper.make_graph(nodes, "tail", [given], outputs, constants)


def _spell_nulls(steps: Any) -> Any:
    """Return a copy whose encoders know a null category by the text that stands for it."""
    copied = copy.deepcopy(steps)
    for encoder in _find_encoders(copied):
        encoder.categories_ = [_spell_null(levels) for levels in encoder.categories_]
    return copied


def _spell_null(levels: Any) -> Any:
    if levels.dtype != object:
        return levels
    spelt = [NULL_TEXT if level is None else level for level in levels]
    return np.array(spelt, dtype=object)


def _find_encoders(step: Any) -> Iterator[Any]:
    if hasattr(step, "categories_"):
        yield step
    inner = [each[1] for each in [*getattr(step, "transformers_", ()), *getattr(step, "steps", ())]]
    for each in inner:
        yield from _find_encoders(each)


def _name_outputs(graph: Any, columns: tuple[Column, ...]) -> None:
    """Give the outputs the signature's names and shapes: (rows,), or (rows, classes)."""
    raw = {value.name.rpartition("/")[2]: value for value in graph.output}
    del graph.output[:]
    for column in columns:
        source = {"probability": "probabilities", "value": "value" if "value" in raw else "variable"}.get(
            column.name, column.name
        )
        value = raw[source]
        if column.width > 1 or column.name == "label":
            graph.node.append(helper.make_node("Identity", [value.name], [column.name]))
        else:
            place = numpy_helper.from_array(np.array(column.name == "probability", np.int64), f"pick/{column.name}")
            graph.initializer.append(place)
            graph.node.append(helper.make_node("Gather", [value.name, place.name], [column.name], axis=1))
        element = value.type.tensor_type.elem_type
        shape = [None, column.width] if column.width > 1 else [None]
        graph.output.append(helper.make_tensor_value_info(column.name, element, shape))


def _rename(graph: Any, inputs: list[str]) -> Any:
    """Give the inputs their names, of which skl2onnx keeps letters only, and move inner names aside."""
    renamed = {value.name: name for value, name in zip(graph.input, inputs, strict=True)}
    for node in graph.node:
        for name in [*node.input, *node.output]:
            if name:
                renamed.setdefault(name, f"head/{name}")
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for value in [*graph.input, *graph.initializer, *graph.output, *graph.value_info]:
        value.name = renamed.get(value.name, value.name)
    return graph


def _make_model(graph: Any) -> Any:
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="mainspring")
