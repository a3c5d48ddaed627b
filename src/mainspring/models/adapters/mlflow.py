"""Folders that MLflow alone can open: kept as they are, and asked through its ``pyfunc`` in a process apart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mainspring.models.columns import Array
from mainspring.security.paths import safe_join


class FunctionFolder:
    """A folder of MLflow's, by its files; it is opened nowhere but in the process of a model that is code.

    Parameters
    ----------
    files : dict of str to bytes
        Relative name -> content, ``MLmodel`` among them.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def open(self, folder: Path) -> Callable[[Mapping[str, Array]], dict[str, Any]]:
        """Write the files and have MLflow load them; return what asks it.

        Raises
        ------
        ModuleNotFoundError
            When MLflow, pandas, or what the folder's code needs is not installed.
        """
        import mlflow.pyfunc

        root = folder / "model"
        for name, content in self.files.items():
            path = safe_join(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        logging.getLogger("mlflow").setLevel(logging.ERROR)  # it warns of versions, which the record knows
        model = mlflow.pyfunc.load_model(str(root))
        return lambda columns: _ask(model, columns)


def _ask(model: Any, columns: Mapping[str, Array]) -> dict[str, Any]:
    import pandas as pd

    schema = model.metadata.get_input_schema()
    if schema is not None and schema.is_tensor_spec():
        given: Any = np.column_stack(list(columns.values())).astype(schema.numpy_types()[0])
    else:
        given = pd.DataFrame(dict(columns))
        if schema is not None:
            kinds = zip(schema.input_names(), schema.pandas_types(), strict=True)
            given = given.astype({name: kind for name, kind in kinds if given[name].dtype != object})
    return _name(model.predict(given))


def _name(answer: Any) -> dict[str, Any]:
    """Return outputs by name; a frame whose columns are no outputs is a matrix of values."""
    if isinstance(answer, Mapping):
        return {str(name): values for name, values in answer.items()}
    columns = [str(each) for each in getattr(answer, "columns", ())]
    if columns and set(columns) <= {"label", "probability", "value"}:
        return {name: answer[name].to_numpy() for name in columns}
    return {"value": answer.to_numpy() if hasattr(answer, "to_numpy") else answer}
