"""The ``MLmodel`` file, by which tools of the MLflow family recognise a model's folder."""

from __future__ import annotations

import json
from typing import Any

from mainspring.models.flavors import Flavor
from mainspring.models.signature import Column, Signature

INPUT_EXAMPLE_FILE = "input_example.json"
_EXAMPLE = {"artifact_path": INPUT_EXAMPLE_FILE, "pandas_orient": "split", "type": "dataframe"}
_TYPES = {"FP32": "float", "FP64": "double", "INT64": "long", "BOOL": "boolean", "BYTES": "string"}


def write_mlmodel(
    signature: Signature, flavor: Flavor, content: bytes, environment: dict[str, str], *, onnx: bool
) -> str:
    """Return the text of the file.

    Parameters
    ----------
    signature : Signature
        Written as MLflow writes a column-based signature.
    flavor : Flavor
        The flavor that reads the native form.
    content : bytes
        The native form.
    environment : dict of str to str
        ``python`` and distributions -> versions.
    onnx : bool
        Whether there is a ``model.onnx``.

    Notes
    -----
    JSON is YAML, so values are written as JSON and no YAML library is needed. MLflow's ``pyfunc`` asks the native
    form, labels of an estimator, probabilities of a booster; the ONNX form where its own flavor does not read that
    one, and of a graph, which may answer a matrix: MLflow makes a frame of outputs that are columns only.
    """
    flavors: dict[str, Any] = {}
    told = flavor.tell_mlflow(content, environment)
    native = told and not (onnx and flavor.name == "onnx")
    loader, file = (flavor.name, flavor.file) if native else ("onnx", "model.onnx")
    flavors[flavor.name] = told or {"data": flavor.file}
    if told or onnx:
        flavors["python_function"] = {
            "loader_module": f"mlflow.{loader}",
            "data": file,
            "env": {"virtualenv": "python_env.yaml"},
            "python_version": environment["python"],
        }
    if onnx and "onnx" not in flavors:
        flavors["onnx"] = {"data": "model.onnx", "providers": ["CPUExecutionProvider"]}
    flavors["mainspring"] = {"file": "model.onnx" if onnx else flavor.file, "signature": "signature.json"}
    lines = ["flavors:"]
    for name, settings in flavors.items():
        lines.append(f"  {name}:")
        lines += [f"    {key}: {json.dumps(value)}" for key, value in settings.items()]
    lines += [
        f"saved_input_example_info: {json.dumps(_EXAMPLE)}",
        "signature:",
        f"  inputs: {_quote([_describe(each) for each in signature.inputs])}",
        f"  outputs: {_quote([_describe(each) for each in signature.outputs])}",
        "  params: null",
        "",
    ]
    return "\n".join(lines)


def write_python_environment(environment: dict[str, str]) -> str:
    """Return the text of ``python_env.yaml``, from which tools of that family make an environment."""
    return f'python: "{environment["python"]}"\ndependencies: ["-r requirements.txt"]\n'


def _describe(column: Column) -> dict[str, Any]:
    return {"type": _TYPES[column.datatype], "name": column.name, "required": True}


def _quote(columns: list[dict[str, Any]]) -> str:
    return json.dumps(json.dumps(columns))
