"""ONNX graphs that were made elsewhere: checked, kept as they are, and given named columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mainspring.domain.errors import Invalid, Unavailable
from mainspring.models.columns import Array
from mainspring.models.signature import Column, Signature

_MOST_BYTES = 1 << 30
# Operators of these domains are ONNX's own; the newest of them that the supported onnxruntime runs.
_OPSETS = {"": 23, "ai.onnx": 23, "ai.onnx.ml": 5}
# ONNX's element types by number: what columns can be fed to, and what answers can be.
_DATATYPES = {1: "FP32", 11: "FP64", 7: "INT64", 9: "BOOL", 8: "BYTES", 6: "INT64"}
_DTYPES: dict[int, Any] = {1: np.float32, 11: np.float64, 7: np.int64, 9: np.bool_, 8: object, 6: np.int32}
_FLOATS, _LABELS = {1, 11}, {6, 7, 8}


class OnnxFlavor:
    """The flavor of ``onnx.ModelProto``: inputs of one column each, or one matrix whose columns the example names."""

    name = "onnx"
    file = "graph.onnx"

    def supports(self, model: Any) -> bool:
        """Tell whether `model` is a graph with its metadata."""
        kind = type(model)
        return kind.__name__ == "ModelProto" and kind.__module__.startswith("onnx.")

    def features(self, model: Any) -> tuple[str, ...] | None:
        """Return the names of the inputs; None when there is one matrix."""
        inputs = _list_inputs(model)
        return None if _is_matrix(inputs) else tuple(each.name for each in inputs)

    def outputs(self, model: Any) -> tuple[Column, ...]:
        """Return ``label`` and ``probability`` when there are a label and a matrix, else one ``value``."""
        label, numbers = _find_outputs(model)
        found = []
        if label is not None:
            found.append(Column("label", _read_datatype(label)))
        if numbers is not None:
            width = _get_width(numbers)
            if label is None:
                return (Column("value", "FP32", width=width),)
            found.append(Column("probability", "FP32", width=1 if width == 2 else width))
        return tuple(found)

    def categories(self, model: Any) -> dict[str, tuple[str, ...]]:
        """Return nothing: a graph does not tell."""
        del model
        return {}

    def params(self, model: Any) -> dict[str, Any]:
        """Return who made the graph, and its operator sets."""
        opsets = {each.domain or "ai.onnx": each.version for each in model.opset_import}
        return {"producer": model.producer_name, **{f"opset {name}": number for name, number in opsets.items()}}

    def distributions(self, model: Any) -> tuple[str, ...]:
        """Return ONNX and its runtime."""
        del model
        return ("onnx", "onnxruntime", "numpy")

    def save(self, model: Any) -> bytes:
        """Write the graph as it is; MODEL-002 says what of it is not taken."""
        try:
            _check(model)
        except ValueError as fault:
            raise Invalid("MODEL-002", f"this graph is not taken: {fault}") from None
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def tell_mlflow(self, content: bytes, environment: Mapping[str, str]) -> dict[str, Any]:
        """Return where the graph is."""
        del content
        return {
            "data": self.file,
            "onnx_version": environment.get("onnx", ""),
            "providers": ["CPUExecutionProvider"],
            "options": None,
        }

    def load(self, content: bytes) -> Any:
        """Read a graph and check it again."""
        onnx = _import_onnx()
        try:
            _check_size(len(content))
            model = onnx.ModelProto.FromString(content)
            _check(model)
        except Exception as fault:  # noqa: BLE001  protobuf's readers share no class of errors
            text = str(fault).partition("\n")[0]
            raise Invalid("MODEL-010", f"{self.file} is no graph that is taken: {text}") from None
        return model

    def predict(self, model: Any, columns: Mapping[str, Array], signature: Signature) -> dict[str, Array]:
        """Ask ONNX Runtime with the graph as it is, one thread, a session for each call."""
        from mainspring.models.adapters.onnx import open_session

        inputs = _list_inputs(model)
        session = open_session(model.SerializeToString())
        if _is_matrix(inputs):
            matrix = np.column_stack([columns[each.name] for each in signature.inputs])
            feed = {inputs[0].name: matrix.astype(_get_dtype(inputs[0]))}
        else:
            feed = {
                each.name: columns[each.name]
                .astype(_get_dtype(each))
                .reshape((-1, 1) if _count_axes(each) == 2 else -1)
                for each in inputs
            }
        label, numbers = _find_outputs(model)
        wanted = [each.name for each in (label, numbers) if each is not None]
        given = dict(zip(wanted, session.run(wanted, feed), strict=True))
        answers: dict[str, Array] = {}
        for column in signature.outputs:
            if column.name == "label":
                answers["label"] = given[label.name].reshape(-1)
                continue
            values = given[numbers.name].reshape(len(next(iter(columns.values()))), -1)
            picked = values[:, 1] if column.name == "probability" and column.width == 1 else values
            answers[column.name] = picked.reshape(-1) if column.width == 1 else picked
        return answers

    def convert(self, model: Any, signature: Signature) -> bytes:
        """Return the graph behind another that makes its inputs of named columns."""
        onnx = _import_onnx()
        return _wrap(onnx, model, signature)


def _wrap(onnx: Any, model: Any, signature: Signature) -> bytes:
    """Return the graph behind operators that make its inputs of columns: (rows,), as MLflow has them, or (rows, 1)."""
    helper = onnx.helper
    inner = onnx.compose.add_prefix(model, "graph/")
    graph = inner.graph
    shapes = {"flat": [-1], "upright": [-1, 1]}
    constants = [onnx.numpy_helper.from_array(np.array(each, np.int64), name) for name, each in shapes.items()]
    nodes = [helper.make_node("Reshape", [each.name, "upright"], [f"column/{each.name}"]) for each in signature.inputs]
    inputs = _list_inputs(inner)
    given = [
        helper.make_tensor_value_info(each.name, _find_element(each.datatype), [None, 1]) for each in signature.inputs
    ]
    if _is_matrix(inputs):
        element = inputs[0].type.tensor_type.elem_type
        parts = [f"cast/{each.name}" for each in signature.inputs]
        nodes += [
            helper.make_node("Cast", [f"column/{each.name}"], [part], to=element)
            for each, part in zip(signature.inputs, parts, strict=True)
        ]
        nodes.append(helper.make_node("Concat", parts, [inputs[0].name], axis=1))
    else:
        for each in inputs:
            name, element = each.name.removeprefix("graph/"), each.type.tensor_type.elem_type
            cast = f"cast/{name}"
            flat = _count_axes(each) == 1
            nodes.append(helper.make_node("Cast", [f"column/{name}"], [cast if flat else each.name], to=element))
            if flat:
                nodes.append(helper.make_node("Reshape", [cast, "flat"], [each.name]))
    label, numbers = _find_outputs(inner)
    results = []
    for column in signature.outputs:
        source = label if column.name == "label" else numbers
        element, shape = source.type.tensor_type.elem_type, [None] if column.width == 1 else [None, column.width]
        if column.name == "probability" and column.width == 1:
            constants.append(onnx.numpy_helper.from_array(np.array(1, np.int64), "second"))
            tail = [helper.make_node("Gather", [source.name, "second"], [column.name], axis=1)]
        elif column.width == 1:
            tail = [helper.make_node("Reshape", [source.name, "flat"], [column.name])]
        else:
            tail = [helper.make_node("Identity", [source.name], [column.name])]
        graph.node.extend(tail)
        results.append(helper.make_tensor_value_info(column.name, element, shape))
    body = [*nodes, *graph.node]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(body)
    graph.input.extend(given)
    graph.output.extend(results)
    graph.initializer.extend(constants)
    onnx.checker.check_model(inner)
    for each in graph.input:  # of any rank, once it was checked
        each.type.tensor_type.ClearField("shape")
    content: bytes = inner.SerializeToString(deterministic=True)
    return content


def _check(model: Any) -> None:
    """Raise ValueError for what no graph here may have: other files, other operators, no inputs of columns."""
    onnx = _import_onnx()
    _check_size(model.ByteSize())
    for opset in model.opset_import:
        if opset.domain not in _OPSETS:
            raise ValueError(f"it wants operators of {opset.domain!r}, which onnxruntime has not by itself")
        if opset.version > _OPSETS[opset.domain]:
            raise ValueError(f"it wants operator set {opset.version} of {opset.domain or 'ai.onnx'!r}")
    if model.functions or model.training_info:
        raise ValueError("it brings functions or a training graph of its own")
    for tensor in _list_tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ValueError(f"{tensor.name!r} lies in another file: save it with save_as_external_data=False")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as fault:
        raise ValueError(str(fault).partition("\n")[0]) from None
    inputs = _list_inputs(model)
    if not inputs or (not all(_is_column(each) for each in inputs) and not _is_matrix(inputs)):
        shapes = ", ".join(f"{each.name!r} {_tell_shape(each)}" for each in inputs) or "none"
        raise ValueError(f"its inputs are neither columns nor one matrix of rows: {shapes}")
    if _find_outputs(model) == (None, None):
        names = ", ".join(repr(each.name) for each in model.graph.output)
        raise ValueError(f"its outputs are no labels and numbers for each row: {names} (convert with zipmap=False)")


def _check_size(size_bytes: int) -> None:
    if size_bytes > _MOST_BYTES:
        raise ValueError(f"it has {size_bytes:,} bytes, more than {_MOST_BYTES:,}")


def _list_tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            yield from (each for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors) for each in
                        (sparse.values, sparse.indices))  # fmt: skip
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _list_tensors(inner)


def _list_inputs(model: Any) -> list[Any]:
    constants = {each.name for each in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in constants]


def _is_column(value: Any) -> bool:
    if _get_element(value) not in _DTYPES:
        return False
    shape = value.type.tensor_type.shape.dim
    return len(shape) == 1 or (len(shape) == 2 and shape[1].dim_value == 1)


def _is_matrix(inputs: list[Any]) -> bool:
    return len(inputs) == 1 and _count_axes(inputs[0]) == 2 and not _is_column(inputs[0]) and (
        _get_element(inputs[0]) in _DTYPES
    )  # fmt: skip


def _find_outputs(model: Any) -> tuple[Any, Any]:
    """Return the output of labels and that of numbers, None for what is not there."""
    label = numbers = None
    for each in model.graph.output:
        element, axes = _get_element(each), _count_axes(each)
        if element in _FLOATS and axes in {1, 2} and numbers is None:
            numbers = each
        elif element in _LABELS and _is_column(each) and label is None:
            label = each
    return label, numbers


def _get_element(value: Any) -> int:
    return int(value.type.tensor_type.elem_type) if value.type.HasField("tensor_type") else 0


def _get_dtype(value: Any) -> Any:
    return _DTYPES[_get_element(value)]


def _read_datatype(value: Any) -> Any:
    return _DATATYPES[_get_element(value)]


def _count_axes(value: Any) -> int:
    return len(value.type.tensor_type.shape.dim)


def _get_width(value: Any) -> int:
    shape = value.type.tensor_type.shape.dim
    width = shape[1].dim_value if len(shape) == 2 else 1
    if width < 1:
        raise Invalid("MODEL-002", f"the graph does not tell how many columns {value.name!r} has", output=value.name)
    return int(width)


def _find_element(datatype: str) -> int:
    return next(number for number, each in _DATATYPES.items() if each == datatype)


def _tell_shape(value: Any) -> str:
    return str([axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim])


def _import_onnx() -> Any:
    try:
        import onnx
        import onnx.compose
    except (ImportError, OSError) as fault:
        raise Unavailable(
            "MODEL-011", f"onnx cannot be imported: {fault}", fix="pip install 'mainspring[onnx]'"
        ) from None
    return onnx
