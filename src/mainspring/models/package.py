"""The files of a model version: what is stored, and what was found while making them."""

from __future__ import annotations

import importlib.metadata
import json
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec
import numpy as np

from mainspring.domain.errors import Invalid, MainspringError
from mainspring.models.columns import Array, count_rows, to_columns
from mainspring.models.flavors import NativePredictor, Tracer, find_flavor, find_flavor_of_files
from mainspring.models.mlmodel import INPUT_EXAMPLE_FILE, write_mlmodel, write_python_environment
from mainspring.models.parity import MIN_ROWS, Parity, compare
from mainspring.models.runtime import ONNX_FILE, SIGNATURE_FILE, Predictor
from mainspring.models.signature import Signature, infer

EXAMPLE_FILE = "example.json"
EXAMPLE_ROWS = 3
_EMPTY = {"FP32": 0.0, "FP64": 0.0, "INT64": 0, "BOOL": False, "BYTES": ""}
_LATENCY_CALLS, _LATENCY_S = 200, 0.5


class Package(msgspec.Struct, frozen=True):
    """A model in the form in which it is stored.

    Attributes
    ----------
    files : dict of str to bytes
        Relative name -> content.
    signature : Signature
        What it takes and gives.
    format : str
        The form that answers: ``onnx``, or the flavor's name when parity failed.
    parity : Parity
        What the comparison of the two forms found.
    params : dict of str to JSON
        The model's own parameters.
    environment : dict of str to str
        ``python``, and each distribution that the native form needs -> version.
    size_bytes : int
        Size of the form that answers.
    latency_ms : float
        Median time of one row in this process, milliseconds.
    """

    files: dict[str, bytes]
    signature: Signature
    format: str
    parity: Parity
    params: dict[str, Any]
    environment: dict[str, str]
    size_bytes: int
    latency_ms: float


def build_package(model: Any, example: Any, *, proof: Callable[[tuple[str, ...]], Any] | None = None) -> Package:
    """Write a fitted model in safe formats, prove that they agree and measure the answer.

    Parameters
    ----------
    model : object
        A fitted model of an installed flavor.
    example : frame or mapping
        Rows that the model was trained on, or rows like them; columns that are no features are
        ignored. With at least 10,000 rows, parity rests on real rows alone.
    proof : callable, optional
        Asked for more real rows with the features' names when the example has fewer than 10,000;
        returns a frame, or None.

    Returns
    -------
    Package
        Without ``model.onnx`` when the two forms disagree.

    Raises
    ------
    Invalid
        MODEL-002 for an object that no flavor writes, MODEL-004 and MODEL-005 for an example
        that does not fit the model, MODEL-008 for one without rows.

    Notes
    -----
    The native form that is compared is the one read back from its file, so reading it is
    proven as well. Equal models give equal files.
    """
    flavor = find_flavor(model)
    given = to_columns(example)
    signature = infer(given, names=flavor.features(model))
    if isinstance(flavor, Tracer):
        model = flavor.trace(model, signature.check({each.name: given[each.name] for each in signature.inputs}))
    signature = Signature(_add_categories(signature, flavor.categories(model)).inputs, flavor.outputs(model))
    columns = signature.check({each.name: given[each.name] for each in signature.inputs})
    content = flavor.save(model)
    native = NativePredictor(flavor, flavor.load(content), signature)
    signature = native.signature = _settle_nulls(native, columns)
    files = {flavor.file: content}
    converted, parity = _convert(native, model, _gather_rows(columns, signature, proof))
    predictor: Predictor = native
    if converted is not None and parity.passed:
        files[ONNX_FILE], predictor = converted
    environment = _read_environment(flavor.distributions(model))
    told = write_mlmodel(signature, flavor, content, environment, onnx=ONNX_FILE in files)
    files |= {"MLmodel": told.encode(), **_describe(signature, columns, environment)}
    return Package(
        files=files,
        signature=signature,
        format=predictor.format,
        parity=parity,
        params=flavor.params(model),
        environment=environment,
        size_bytes=len(files[ONNX_FILE if ONNX_FILE in files else flavor.file]),
        latency_ms=measure_latency_ms(predictor, columns),
    )


def open_package(package: Package) -> Predictor:
    """Return a predictor over the form of a package that answers."""
    from mainspring.models.adapters.onnx import OnnxPredictor

    if ONNX_FILE in package.files:
        return OnnxPredictor(package.files[ONNX_FILE], package.signature)
    flavor = find_flavor_of_files(package.files)
    return NativePredictor(flavor, flavor.load(package.files[flavor.file]), package.signature)


def _gather_rows(
    columns: dict[str, Array], signature: Signature, proof: Callable[[tuple[str, ...]], Any] | None
) -> dict[str, Array]:
    """Return the example's rows, or more if there are too few and others fit."""
    if proof is None or count_rows(columns) >= MIN_ROWS:
        return columns
    more = proof(tuple(columns))
    if more is None or len(more) <= count_rows(columns):
        return columns
    try:
        return signature.check(to_columns(more))
    except MainspringError:  # of other types than the example: not what the model was trained on
        return columns


def measure_latency_ms(predictor: Predictor, columns: Mapping[str, Array]) -> float:
    """Return the median time that a predictor takes for one row, in milliseconds.

    Notes
    -----
    At most 200 calls, and not much more than half a second of them.
    """
    row = {name: values[:1] for name, values in columns.items()}
    times: list[float] = []
    while len(times) < _LATENCY_CALLS and sum(times) < _LATENCY_S:
        start = time.perf_counter()
        predictor.predict(row)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1000.0


def write_request(columns: Mapping[str, Array], signature: Signature, rows: int) -> bytes:
    """Return the first rows as a request of the Open Inference Protocol."""
    inputs = []
    for each in signature.inputs:
        values = [None if value != value else value for value in columns[each.name][:rows].tolist()]  # noqa: PLR0124
        inputs.append({"name": each.name, "shape": [len(values), 1], "datatype": each.datatype, "data": values})
    return json.dumps({"inputs": inputs}, indent=1).encode()


def hide_columns(package: Package, names: Collection[str]) -> Package:
    """Return a package that shows no value of sensitive columns: the example has empty ones in their place.

    Raises
    ------
    Invalid
        MODEL-033 when one is a text, or the model is kept as code: then it may hold what it was trained on.
    """
    hidden = [each for each in package.signature.inputs if each.name in names]
    for each in hidden:
        if each.datatype == "BYTES" or package.format == "sealed":
            how = "the model reads its texts" if each.datatype == "BYTES" else "the model is kept as code"
            raise Invalid("MODEL-033", f"{each.name!r} is sensitive, and {how}", column=each.name)
    if not hidden:
        return package
    example = json.loads(package.files[EXAMPLE_FILE])
    for each in example["inputs"]:
        if each["name"] in names:
            each["data"] = [_EMPTY[each["datatype"]]] * len(each["data"])
    content = json.dumps(example, indent=1).encode()
    files = {**package.files, EXAMPLE_FILE: content}
    if INPUT_EXAMPLE_FILE in files:
        files[INPUT_EXAMPLE_FILE] = _write_input_example(content)
    return msgspec.structs.replace(package, files=files)


def _write_input_example(request: bytes) -> bytes:
    """Return the rows of a request as MLflow keeps them beside a model: a frame by rows."""
    inputs = json.loads(request)["inputs"]
    rows = [list(row) for row in zip(*(each["data"] for each in inputs), strict=True)]
    return json.dumps({"columns": [each["name"] for each in inputs], "data": rows}).encode()


def _add_categories(signature: Signature, categories: Mapping[str, tuple[str, ...]]) -> Signature:
    return Signature(
        tuple(msgspec.structs.replace(each, categories=categories.get(each.name)) for each in signature.inputs)
    )


def _settle_nulls(native: NativePredictor, columns: Mapping[str, Array]) -> Signature:
    """Let a column be nullable only where the model answers a row that has a null there, and not by NaN."""
    row = {name: values[:1].copy() for name, values in columns.items()}

    def takes_null(*names: str) -> bool:
        changed = {name: _null(values) if name in names else values for name, values in row.items()}
        try:
            answers = native.predict(changed).values()
        except Exception:  # noqa: BLE001  that it raises is the answer
            return False
        return not any(np.isnan(each).any() for each in answers if each.dtype.kind == "f")

    nullable = [each.name for each in native.signature.inputs if each.nullable]
    if nullable and not takes_null(*nullable):
        nullable = [name for name in nullable if takes_null(name)]
    inputs = tuple(msgspec.structs.replace(each, nullable=each.name in nullable) for each in native.signature.inputs)
    return Signature(inputs, native.signature.outputs)


def _null(values: Array) -> Array:
    return np.array([None], dtype=object) if values.dtype == object else np.full(1, np.nan, values.dtype)


def _convert(
    native: NativePredictor, model: Any, columns: Mapping[str, Array]
) -> tuple[tuple[bytes, Predictor] | None, Parity]:
    from mainspring.models.adapters.onnx import OnnxPredictor

    try:
        content = native.flavor.convert(model, native.signature)
        predictor = OnnxPredictor(content, native.signature)
    except MainspringError as fault:
        return None, Parity(problem=fault.what)
    except Exception as fault:  # noqa: BLE001  converters raise many classes for what they cannot do
        text = str(fault).partition("\n")[0]
        return None, Parity(problem=f"it cannot be converted: {type(fault).__name__}: {text}")
    return (content, predictor), compare(native.predict, predictor.predict, columns, native.signature)


def _read_environment(distributions: tuple[str, ...]) -> dict[str, str]:
    import platform

    found = {"python": platform.python_version()}
    for name in distributions:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _describe(signature: Signature, columns: Mapping[str, Array], environment: dict[str, str]) -> dict[str, bytes]:
    pins = [f"{name}=={version}" for name, version in environment.items() if name != "python"]
    example = write_request(columns, signature, EXAMPLE_ROWS)
    return {
        SIGNATURE_FILE: msgspec.json.format(msgspec.json.encode(signature), indent=1),
        EXAMPLE_FILE: example,
        INPUT_EXAMPLE_FILE: _write_input_example(example),
        "requirements.txt": "".join(f"{pin}\n" for pin in pins).encode(),
        "python_env.yaml": write_python_environment(environment).encode(),
    }
