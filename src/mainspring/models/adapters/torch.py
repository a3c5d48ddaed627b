"""PyTorch modules, written as exported programs without a pickle."""

from __future__ import annotations

import inspect
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from mainspring.domain.errors import Invalid, Unavailable
from mainspring.models.columns import Array
from mainspring.models.exported import clean_program
from mainspring.models.signature import Column, Signature

_OUTPUTS = ("label", "probability", "value")
# Sizes 0 and 1 are constants to an export, so a program is traced with more rows.
_TRACED_ROWS = 8
_EXPORTED = "torch.export.exported_program"
# Program -> the module that answers for it, which takes longer to make than an answer.
_modules: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


class TorchFlavor:
    """The flavor of ``nn.Module`` and of exported programs, over one matrix of all columns or a tensor for each."""

    name = "torch"
    file = "model.pt2"

    def supports(self, model: Any) -> bool:
        """Tell whether `model` is a module or an exported program."""
        kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(model).__mro__}
        return bool(kinds & {"torch.nn.modules.module.Module", f"{_EXPORTED}.ExportedProgram"})

    def features(self, model: Any) -> tuple[str, ...] | None:
        """Return the names of the tensors, or a module's ``feature_names_in_``; None when there is one matrix."""
        if type(model).__module__ == _EXPORTED:
            names = model.graph_signature.user_inputs
        elif hasattr(model, "feature_names_in_"):
            return tuple(map(str, model.feature_names_in_))
        else:
            names = _list_parameters(model)
        return tuple(names) if len(names) > 1 else None

    def trace(self, model: Any, columns: Mapping[str, Array]) -> Any:
        """Export a module with rows like the example's.

        Raises
        ------
        Invalid
            MODEL-004 for a column of texts, MODEL-002 when it cannot be exported.
        """
        torch = _import_torch()
        texts = [name for name, values in columns.items() if values.dtype == object]
        if texts:
            raise Invalid("MODEL-004", f"example column {texts[0]!r} holds texts, and a tensor none", column=texts[0])
        if type(model).__module__ == _EXPORTED:
            return model
        few = {name: np.resize(values, _TRACED_ROWS) for name, values in columns.items()}
        faults: list[str] = []
        for inputs in _list_inputs(torch, model, few):
            try:
                return _export(torch, model, inputs)
            except Exception as fault:  # noqa: BLE001  a module is code of its user, and may raise anything
                faults.append(f"{type(fault).__name__}: {str(fault).strip().partition(chr(10))[0]}")
        kind = type(model).__qualname__
        raise Invalid(
            "MODEL-002",
            f"{kind} cannot be exported with the columns {', '.join(columns)}: {faults[0]}",
            why="torch.export follows a module's forward with the example's columns, and no branch over their values",
            fix="give an example with the columns that it takes, in order; or keep it as code with allow_code=True",
            got=kind,
        )

    def ask(self, model: Any, columns: Mapping[str, Array]) -> dict[str, Any]:
        """Ask a module that is kept as code, in the forms in which `trace` tries it."""
        torch = _import_torch()
        model.eval()
        faults: list[Exception] = []
        with torch.inference_mode():
            for inputs in _list_inputs(torch, model, columns):
                try:
                    answer = model(*inputs)
                except Exception as fault:  # noqa: BLE001  a module is code of its user, and may raise anything
                    faults.append(fault)
                    continue
                named = answer if isinstance(answer, Mapping) else {"value": answer}
                return {str(name): each.cpu().numpy() for name, each in named.items()}
        raise faults[0]

    def outputs(self, model: Any) -> tuple[Column, ...]:
        """Return ``value`` for a tensor, or what a dict of ``label``, ``probability`` and ``value`` holds."""
        return tuple(_describe(name, tensor) for name, tensor in _read_outputs(model))

    def categories(self, model: Any) -> dict[str, tuple[str, ...]]:
        """Return nothing: a tensor holds numbers."""
        del model
        return {}

    def params(self, model: Any) -> dict[str, Any]:
        """Return how many numbers were trained."""
        return {"trained numbers": sum(each.numel() for each in model.state_dict.values() if each.requires_grad)}

    def distributions(self, model: Any) -> tuple[str, ...]:
        """Return PyTorch and NumPy."""
        del model
        return ("torch", "numpy")

    def save(self, model: Any) -> bytes:
        """Write the program; MODEL-002 says what of it is not taken."""
        torch = _import_torch()
        written = io.BytesIO()
        try:
            with _quietly():
                torch.export.save(model, written)
            return clean_program(written.getvalue())
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            raise Invalid("MODEL-002", f"this program cannot be kept: {fault}") from None

    def tell_mlflow(self, content: bytes, environment: Mapping[str, str]) -> dict[str, Any]:
        """Return nothing: MLflow takes no program without the sample inputs, which are a pickle."""
        del content, environment
        return {}

    def load(self, content: bytes) -> Any:
        """Read a program after every word of it was checked."""
        torch = _import_torch()
        try:
            with _quietly():
                program = torch.export.load(io.BytesIO(clean_program(content)))
                _find_module(program)
        except Exception as fault:  # noqa: BLE001  PyTorch's reader raises whatever it stumbles over
            text = str(fault).strip().partition("\n")[0]
            raise Invalid("MODEL-010", f"{self.file} is no program that is taken: {text[:300]}") from None
        return program

    def predict(self, model: Any, columns: Mapping[str, Array], signature: Signature) -> dict[str, Array]:
        """Ask the program, with each column as the type that it was traced with."""
        torch = _import_torch()
        given = {each.name: columns[each.name] for each in signature.inputs}
        inputs = [_fill(torch, tensor, given) for tensor in _read_inputs(model)]
        with torch.inference_mode():
            answer = _find_module(model)(*inputs)
        answers, rows = {}, len(next(iter(given.values())))
        for (name, _), tensor, column in zip(
            _read_outputs(model), _flatten(torch, answer), signature.outputs, strict=True
        ):
            shape = (rows,) if column.width == 1 else (rows, column.width)
            answers[name] = tensor.numpy().reshape(shape)
        return answers

    def convert(self, model: Any, signature: Signature) -> bytes:
        """Convert by PyTorch's own exporter, behind operators that take named columns."""
        torch, onnx = _import_torch(), _import_onnx()
        with _quietly():
            graph = torch.onnx.export(model, dynamo=True, verbose=False).model_proto
        _forget_origins(graph)
        return _wrap(onnx, onnx.compose.add_prefix(graph, "graph/"), signature)


def _list_parameters(model: Any) -> list[str]:
    """Return the arguments that a module's ``forward`` cannot do without."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    given = inspect.signature(model.forward).parameters.values()
    return [each.name for each in given if each.kind in kinds and each.default is inspect.Parameter.empty]


def _list_inputs(torch: Any, model: Any, columns: Mapping[str, Array]) -> Iterator[list[Any]]:
    """Give the forms in which a module may take its columns, the usual one first."""
    floats = [each for each in model.parameters() if each.is_floating_point()]
    kind, device = (floats[0].dtype, floats[0].device) if floats else (torch.float32, torch.device("cpu"))
    tensors = [torch.as_tensor(values.copy()) for values in columns.values()]
    whole = all(not each.is_floating_point() for each in tensors)
    if len(_list_parameters(model)) > 1:
        yield [(each.to(kind) if each.is_floating_point() else each).to(device) for each in tensors]
        return
    yield [torch.stack([each.to(kind) for each in tensors], dim=1).to(device)]
    if whole:
        yield [torch.stack([each.to(torch.int64) for each in tensors], dim=1).to(device)]


def _export(torch: Any, model: Any, inputs: list[Any]) -> Any:
    """Export a module as it answers, not as it learns, and leave it as it was."""
    was = {each: each.training for each in model.modules()}
    rows = torch.export.Dim.DYNAMIC
    try:
        model.eval()
        with _quietly(), torch.no_grad():
            program = torch.export.export(model, tuple(inputs), dynamic_shapes=[{0: rows}] * len(inputs))
            if any(each.device.type != "cpu" for each in inputs):
                from torch.export.passes import move_to_device_pass

                program = move_to_device_pass(program, "cpu")
    finally:
        for each, training in was.items():
            each.training = training
    program.example_inputs = None
    return program


def _read_inputs(program: Any) -> list[Any]:
    """Return a tensor without content for each that the program takes."""
    names = set(program.graph_signature.user_inputs)
    tensors = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    if not all(hasattr(each, "dtype") for each in tensors):
        raise Invalid("MODEL-002", "the program takes numbers or texts beside its tensors")
    return tensors


def _read_outputs(program: Any) -> list[tuple[str, Any]]:
    """Return the name of each output, and a tensor without content."""
    spec = program.call_spec.out_spec
    nodes = next(node for node in program.graph.nodes if node.op == "output").args[0]
    made = program.graph_signature.user_outputs
    tensors = {node.name: node.meta["val"] for node in nodes if hasattr(node, "meta")}
    found = [tensors.get(name) for name in made]
    names = list(spec.context) if spec.type is dict else ["value"] * len(found)
    if (
        any(each is None for each in found)
        or not names
        or not set(names) <= set(_OUTPUTS)
        or len(set(names)) < len(found)
    ):
        what = f"a dict with {names}" if spec.type is dict else f"{len(found)} tensors"
        raise Invalid("MODEL-002", f"the module answers {what}, not one tensor or a dict of {', '.join(_OUTPUTS)}")
    return list(zip(names, found, strict=True))


def _describe(name: str, tensor: Any) -> Column:
    shape = tuple(tensor.shape)
    if len(shape) not in {1, 2} or isinstance(shape[0], int) or not all(isinstance(each, int) for each in shape[1:]):
        raise Invalid("MODEL-002", f"{name} is of shape {list(shape)}, not a number or a list of numbers for each row")
    kind = {"f": "FP32", "i": "INT64", "b": "BOOL"}[_find_dtype(tensor).kind]
    if str(tensor.dtype) == "torch.float64":
        kind = "FP64"
    return Column(name, kind, width=shape[1] if len(shape) == 2 else 1)  # type: ignore[arg-type]


def _find_dtype(tensor: Any) -> np.dtype[Any]:
    """Return the dtype of a tensor, as NumPy has it."""
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in {"float32", "float64", "int64", "int32", "bool"}:
        raise Invalid("MODEL-002", f"the program has a tensor of type {name}: let it take and give float32")
    return np.dtype(name)


def _fill(torch: Any, tensor: Any, columns: dict[str, Array]) -> Any:
    """Return the rows as the next tensor that the program takes; columns of their own are taken out."""
    dtype = _find_dtype(tensor)
    if tensor.ndim == 2 and tensor.shape[1] == len(columns):
        return torch.as_tensor(np.column_stack([each.astype(dtype) for each in columns.values()]))
    values = columns[next(iter(columns))] if len(columns) == 1 else columns.pop(next(iter(columns)))
    return torch.as_tensor(values.astype(dtype).reshape(-1, *tensor.shape[1:]))


def _find_module(program: Any) -> Any:
    module = _modules.get(program)
    if module is None:
        # Its guards are code, and refuse a single row.
        module = _modules[program] = program.module(check_guards=False)
    return module


def _flatten(torch: Any, answer: Any) -> list[Any]:
    return (
        [answer] if isinstance(answer, torch.Tensor) else list(answer.values() if isinstance(answer, dict) else answer)
    )


def _wrap(onnx: Any, inner: Any, signature: Signature) -> bytes:
    """Return the graph behind operators that make its inputs of columns, and rows of its outputs.

    Notes
    -----
    Once it was checked, its inputs lose their rank: a column may be of shape (rows,), as MLflow gives it, or (rows, 1).
    """
    helper, graph = onnx.helper, inner.graph
    elements = {"FP32": 1, "FP64": 11, "INT64": 7, "BOOL": 9}
    inputs = [helper.make_tensor_value_info(each.name, elements[each.datatype], [None, 1]) for each in signature.inputs]
    shapes = {"torch/column": [-1, 1], "torch/row": [-1]}
    body, results = [], []
    matrix = len(graph.input) == 1 and len(graph.input[0].type.tensor_type.shape.dim) == 2
    taken = [graph.input[0]] * len(inputs) if matrix else list(graph.input)
    for each, target in zip(signature.inputs, taken, strict=True):
        flat = "torch/column" if len(target.type.tensor_type.shape.dim) == 2 else "torch/row"
        made = f"torch/made/{each.name}" if matrix else target.name
        body.append(helper.make_node("Reshape", [each.name, flat], [f"torch/flat/{each.name}"]))
        body.append(helper.make_node("Cast", [f"torch/flat/{each.name}"], [made], to=target.type.tensor_type.elem_type))
    if matrix:
        body.append(
            helper.make_node(
                "Concat", [f"torch/made/{each.name}" for each in signature.inputs], [graph.input[0].name], axis=1
            )
        )
    body += graph.node
    for column, source in zip(signature.outputs, graph.output, strict=True):
        shape = f"torch/shape/{column.name}"
        shapes[shape] = [-1] if column.width == 1 else [-1, column.width]
        cast = f"torch/cast/{column.name}"
        body.append(helper.make_node("Cast", [source.name], [cast], to=elements[column.datatype]))
        body.append(helper.make_node("Reshape", [cast, shape], [column.name]))
        results.append(
            helper.make_tensor_value_info(column.name, elements[column.datatype], [None, *shapes[shape][1:]])
        )
    graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(value, np.int64), name) for name, value in shapes.items()
    )
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(body)
    graph.input.extend(inputs)
    graph.output.extend(results)
    onnx.checker.check_model(inner)
    for each in graph.input:
        each.type.tensor_type.ClearField("shape")
    content: bytes = inner.SerializeToString(deterministic=True)
    return content


def _forget_origins(model: Any) -> None:
    """Take out what tells of the files and classes that a graph came from."""
    graph = model.graph
    for each in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del each.metadata_props[:]
        each.doc_string = ""


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep back what PyTorch's exporters say of themselves, which no user can change."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _import_torch() -> Any:
    try:
        import torch
        import torch.export
    except (ImportError, OSError) as fault:
        raise Unavailable(
            "MODEL-011", f"torch cannot be imported: {fault}", fix="pip install 'mainspring[torch]'"
        ) from None
    return torch


def _import_onnx() -> Any:
    try:
        import onnx
        import onnx.compose
        import onnxscript  # noqa: F401  by which PyTorch writes ONNX
    except (ImportError, OSError) as fault:
        raise Unavailable(
            "MODEL-011", f"onnxscript cannot be imported: {fault}", fix="pip install 'mainspring[torch]'"
        ) from None
    return onnx
