"""Folders of models that tools of the MLflow family wrote: read, held against their bytes, and packaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np

from mainspring.domain.errors import Denied, Invalid
from mainspring.models.adapters.mlflow import FunctionFolder
from mainspring.models.columns import Array, to_columns
from mainspring.models.flavors import load_flavors
from mainspring.models.package import Package, build_package, open_package
from mainspring.models.quarantine import convert_pickle
from mainspring.models.runtime import MLMODEL_FILE, Predictor, read_file
from mainspring.models.yaml import read_yaml

_MOST_BYTES = 1 << 20
_DRAWN_ROWS, _SEED = 200, 20130101
# What MLflow calls a column's type -> what it is here.
_TYPES: dict[str, Any] = {
    "double": np.float64,
    "float": np.float32,
    "long": np.int64,
    "integer": np.int64,
    "boolean": np.bool_,
    "string": object,
}
# Settings of an entry that name its file, by the entry.
_FILES = {"sklearn": "pickled_model", "lightgbm": "data", "xgboost": "data", "torch": "data", "onnx": "data"}
_PICKLES = ("pickle", "cloudpickle", "joblib")
_FUNCTION = "python_function"

Keep = Callable[[Any, Mapping[str, Array]], Package]
"""Keeps an object as code, with rows that it answers; `mainspring.models.sealed.seal_package` with a seal."""


class Folder(msgspec.Struct, frozen=True):
    """What an ``MLmodel`` file says of the folder that it lies in.

    Attributes
    ----------
    flavor : str
        The entry that is read: xgboost, lightgbm, sklearn, pytorch, torch (ours), onnx, python_function.
    file : str
        The file that the entry names.
    pickled : bool
        Whether that file is a pickle, or other code.
    model_class : str
        The class that the entry names; empty: none.
    types : dict of str to dtype
        Inputs of the signature, in order; empty: it has none.
    example : dict of str to list
        The input example's columns; empty: there is none.
    mlflow_version : str
        Which MLflow wrote it; empty: unknown.
    """

    flavor: str
    file: str
    pickled: bool
    model_class: str
    types: dict[str, Any]
    example: dict[str, Any]
    mlflow_version: str

    @property
    def is_code(self) -> bool:
        """Whether no library of ours reads what it holds, so that it can be kept as code only."""
        return self.flavor == _FUNCTION or (self.flavor == "pytorch" and self.pickled)


def read_folder(files: Mapping[str, Path]) -> Folder:
    """Read what a folder says of itself; nothing of the model is opened.

    Parameters
    ----------
    files : mapping of str to Path
        Relative name -> file: of a folder, or of a version's manifest.

    Raises
    ------
    Invalid
        MODEL-062 when there is no ``MLmodel`` that can be read, or no entry of it is read here; MODEL-060 when
        entries contradict each other, or name a file that the folder has not.
    """
    if MLMODEL_FILE not in files:
        raise Invalid("MODEL-062", "the folder has no file MLmodel", files=sorted(files)[:20])
    content = read_file(files, MLMODEL_FILE)
    if len(content) > _MOST_BYTES:
        raise Invalid("MODEL-062", f"MLmodel has {len(content):,} bytes, more than {_MOST_BYTES:,}")
    try:
        told = read_yaml(content.decode())
        flavors = told["flavors"]
        name = _choose(flavors)
        settings = flavors[name]
        file = _find_file(name, settings, files)
        pickled = _is_pickle(name, settings) or file.endswith(".pth")
        types = _read_types((told.get("signature") or {}).get("inputs"))
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise Invalid("MODEL-062", f"MLmodel cannot be read: {_tell(fault)}") from None
    _hold_together(flavors, name, file, files)
    return Folder(
        flavor=name,
        file=file,
        pickled=pickled,
        model_class=str(settings.get("model_class") or ""),
        types=types,
        example=_read_example(told.get("saved_input_example_info"), files, types),
        mlflow_version=str(told.get("mlflow_version") or ""),
    )


def open_folder(files: Mapping[str, Path], folder: Folder, *, allow_code: bool = False) -> Any:
    """Return the model of a folder, once its bytes were found to be what the folder says.

    Parameters
    ----------
    files : mapping of str to Path
        As for `read_folder`.
    folder : Folder
        What `read_folder` gave.
    allow_code : bool, default False
        Let a pickle be opened, in a process of its own that hands back a safe form only.

    Raises
    ------
    Denied
        MODEL-061 for a pickle without `allow_code`.
    Invalid
        MODEL-060 when the file is none of the flavor, or of another class; MODEL-061 when a pickle has no safe form.
    """
    content = read_file(files, folder.file)
    flavors = {each.name: each for each in load_flavors()}
    reader = folder.flavor
    if folder.pickled:
        _allow(folder, allowed=allow_code)
        reader, content = convert_pickle(content)
    elif folder.flavor == "lightgbm" and folder.model_class not in {"", "lightgbm.basic.Booster"}:
        reader = "sklearn"  # MLflow writes LightGBM's estimators by skops
    elif folder.flavor == "pytorch":
        reader = "torch"
    try:
        model = flavors[reader].load(content)
    except Invalid as fault:
        what = f"MLmodel says {folder.flavor}, but {folder.file} is none: {fault.what}"
        raise Invalid("MODEL-060", what, flavor=folder.flavor, file=folder.file) from None
    _check_class(folder, model)
    names = flavors[reader].features(model)
    if folder.types and names is not None and not set(names) <= set(folder.types):
        missing = sorted(set(names) - set(folder.types))
        what = f"the signature of MLmodel has no input {missing[0]!r}, which the model was trained on"
        raise Invalid("MODEL-060", what, missing=missing)
    return model


def package_folder(
    files: Mapping[str, Path], *, example: Any = None, allow_code: bool = False, keep: Keep | None = None
) -> Package:
    """Package the model of a folder as if it had been registered here.

    Parameters
    ----------
    files : mapping of str to Path
        As for `read_folder`.
    example : frame or mapping, optional
        Rows like those that it was trained on; default: the folder's own example, else rows drawn for its signature.
    allow_code : bool, default False
        As for `open_folder`; a folder that only MLflow can open is then kept as code.
    keep : callable, optional
        How code is kept; without it such a folder is refused.

    Returns
    -------
    Package
        Its native form is written anew; the folder's own files are not in it.

    Raises
    ------
    Invalid
        As of `read_folder`, `open_folder` and `build_package`; MODEL-062 when there is neither signature nor example.
    """
    folder = read_folder(files)
    if folder.is_code:
        _allow(folder, allowed=allow_code and keep is not None)
    model = None if folder.is_code else open_folder(files, folder, allow_code=allow_code)
    rows = example if example is not None else folder.example or _draw(folder.types)
    columns = {name: _cast(name, values, folder.types) for name, values in to_columns(rows).items()}
    if keep is None or not folder.is_code:
        return build_package(model, columns)
    given = {name: columns[name] for name in folder.types or columns if name in columns}
    return keep(FunctionFolder({name: read_file(files, name) for name in files}), given)


def load_folder(files: Mapping[str, Path]) -> Predictor:
    """Return a predictor over a folder as MLflow wrote it: ONNX when it answers alike, else the native form.

    Raises
    ------
    Denied
        MODEL-061 for a pickle: no process that only answers opens one.
    Invalid
        As of `package_folder`.

    Notes
    -----
    Costs the conversion and its proof, seconds, where a version that was registered here costs neither.
    """
    return open_package(package_folder(files))


def package_graph(path: Path, example: Any) -> Package:
    """Package a file of ONNX.

    Raises
    ------
    Invalid
        MODEL-062 when it is not there, or no example names its columns; MODEL-010 for other bytes.
    """
    if not path.is_file() or example is None:
        what = f"there is no folder or file {path}" if not path.exists() else f"{path} is registered without an example"
        raise Invalid("MODEL-062", what, path=str(path))
    flavor = next(each for each in load_flavors() if each.name == "onnx")
    return build_package(flavor.load(path.read_bytes()), example)


def list_files(root: Path) -> dict[str, Path]:
    """Return the files below a folder by their relative names; links are left out."""
    return {
        path.relative_to(root).as_posix(): path
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _choose(flavors: Any) -> str:
    """Return the entry to read: of one library, else ONNX."""
    for name in ("xgboost", "lightgbm", "sklearn", "pytorch", "torch", "onnx"):
        if name in flavors:
            return name
    if _FUNCTION in flavors:
        return _FUNCTION
    raise ValueError(f"no entry of {', '.join(map(str, flavors)) or 'nothing'} is read here")


def _find_file(name: str, settings: Mapping[str, Any], files: Mapping[str, Path]) -> str:
    """Return the file of an entry: of ``pytorch`` an exported program, else a pickle of the module."""
    if name == "pytorch":
        program = f"{settings['model_data']}/model.pt2"
        return program if program in files else f"{settings['model_data']}/model.pth"
    if name == _FUNCTION:  # a pickle, a file of code, or whatever its loader reads
        source = PurePosixPath(
            str(settings.get("model_code_path") or "")
        ).name  # of it MLflow, too, reads the name alone
        return str(settings.get("python_model") or source or MLMODEL_FILE)
    return str(settings[_FILES[name]])


def _allow(folder: Folder, *, allowed: bool) -> None:
    """Raise MODEL-061 for code that nobody allowed."""
    if not allowed:
        kind = f"code of MLflow's {_FUNCTION}" if folder.flavor == _FUNCTION else "a pickle"
        raise Denied("MODEL-061", f"{folder.file} is {kind}, which runs when it is opened", file=folder.file)


def _is_pickle(name: str, settings: Mapping[str, Any]) -> bool:
    if name == _FUNCTION:
        return True
    if name == "sklearn":
        return settings.get("serialization_format", "pickle") in _PICKLES
    if name == "lightgbm" and settings.get("model_class", "lightgbm.basic.Booster") != "lightgbm.basic.Booster":
        return settings.get("serialization_format", "cloudpickle") in _PICKLES
    return False


def _hold_together(flavors: Mapping[str, Any], name: str, file: str, files: Mapping[str, Path]) -> None:
    """Raise MODEL-060 when entries contradict each other."""
    if file not in files:
        raise Invalid("MODEL-060", f"MLmodel names {file!r}, which is no file of the folder", file=file)
    if name == _FUNCTION:
        return
    loader = str((flavors.get(_FUNCTION) or {}).get("loader_module") or "")
    others = {f"mlflow.{each}" for each in flavors} | {"", "mlflow.pyfunc.model"}
    if loader not in others:
        what = f"MLmodel says {name}, but has it loaded by {loader}"
        raise Invalid("MODEL-060", what, flavor=name, loader=loader)


def _check_class(folder: Folder, model: Any) -> None:
    """Raise MODEL-060 for an object of another library or class than the folder says."""
    kind = type(model)
    found = f"{kind.__module__}.{kind.__qualname__}"
    library = kind.__module__.partition(".")[0]
    wanted = folder.model_class
    if folder.flavor == "lightgbm" and wanted and found != wanted and library != "lightgbm":
        raise Invalid("MODEL-060", f"MLmodel says {wanted}, but {folder.file} holds {found}", got=found)
    if folder.flavor == "sklearn" and not hasattr(model, "predict"):
        raise Invalid("MODEL-060", f"MLmodel says sklearn, but {folder.file} holds {found}", got=found)


def _read_types(text: Any) -> dict[str, Any]:
    """Return the types of a signature's inputs; those of a matrix are named x0, x1, ..."""
    if not text:
        return {}
    found: dict[str, Any] = {}
    for place, each in enumerate(json.loads(text)):
        if each["type"] != "tensor":
            if each["type"] not in _TYPES:
                raise ValueError(
                    f"an input is of type {each['type']!r}, and only numbers, booleans and texts are taken"
                )
            found[str(each.get("name", f"x{place}"))] = _TYPES[each["type"]]
            continue
        kind, shape = np.dtype(each["tensor-spec"]["dtype"]), each["tensor-spec"]["shape"]
        width = shape[1] if len(shape) == 2 else 1
        if len(shape) > 2 or not isinstance(width, int) or not 0 < width <= 100_000:
            raise ValueError(f"an input has the shape {shape}, and only rows of columns are taken")
        names = [str(each["name"])] if width == 1 and "name" in each else [f"x{column}" for column in range(width)]
        found |= dict.fromkeys(names, object if kind.kind in "OUS" else kind.type)
    return found


def _read_example(info: Any, files: Mapping[str, Path], types: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of the folder's input example; nothing when it has none that is a table."""
    name = str((info or {}).get("artifact_path") or "")
    if name not in files:
        return {}
    try:
        told = json.loads(read_file(files, name))
        if "columns" in told:
            names, rows = [str(each) for each in told["columns"]], told["data"]
        elif "data" in told or "inputs" in told:
            rows = told.get("data", told.get("inputs"))
            names = list(types) or [f"x{place}" for place in range(len(rows[0]))]
        else:
            return {}
        return {each: [row[place] for row in rows] for place, each in enumerate(names)}
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):  # it still has its signature
        return {}


def _draw(types: Mapping[str, Any]) -> dict[str, Array]:
    """Return rows that a signature takes, where nobody gave any."""
    if not types:
        raise Invalid("MODEL-062", "MLmodel has neither a signature nor an input example")
    rng = np.random.default_rng(_SEED)
    drawn: dict[str, Array] = {}
    for name, kind in types.items():
        if kind is object:
            drawn[name] = np.array(["a", "b"], dtype=object)[rng.integers(2, size=_DRAWN_ROWS)]
        elif kind is np.bool_:
            drawn[name] = rng.random(_DRAWN_ROWS) < 0.5
        else:
            drawn[name] = (rng.normal(size=_DRAWN_ROWS) * 10.0 ** rng.integers(-2, 4, _DRAWN_ROWS)).astype(kind)
    return drawn


def _cast(name: str, values: Array, types: Mapping[str, Any]) -> Array:
    wanted = types.get(name)
    if wanted is None or wanted is object or values.dtype == object:
        return values
    if np.issubdtype(wanted, np.integer) and values.dtype.kind == "f" and np.isnan(values).any():
        return values
    return values.astype(wanted)


def _tell(fault: Exception) -> str:
    return f"it has no {fault}" if isinstance(fault, KeyError) else str(fault).partition("\n")[0]
