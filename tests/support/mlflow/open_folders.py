"""Run by an interpreter with MLflow: open model folders that Mainspring wrote, and tell what they answer."""

import json
import sys

import mlflow
import numpy as np
import pandas as pd

rows = pd.read_json(sys.stdin, orient="split", dtype=False)
found = {}
for folder in sys.argv[1:]:
    model = mlflow.pyfunc.load_model(folder)
    types = {each["name"]: each["type"] for each in model.metadata.signature.inputs.to_dict()}
    kinds = {"long": "int64", "float": "float32", "double": "float64", "string": "object", "boolean": "bool"}
    given = rows[list(types)].astype({name: kinds[kind] for name, kind in types.items()})
    own = getattr(mlflow, model.metadata.flavors["python_function"]["loader_module"].rpartition(".")[2])
    answer = model.predict(given)
    if isinstance(answer, pd.DataFrame) and all(isinstance(each, str) for each in answer.columns):
        answer = {name: answer[name].tolist() for name in answer.columns}
    elif isinstance(answer, dict):
        answer = {name: np.asarray(values).tolist() for name, values in answer.items()}
    found[folder] = {
        "answers": answer if isinstance(answer, dict) else np.asarray(answer).tolist(),
        "own": type(own.load_model(folder)).__name__,
        "types": types,
        "example": mlflow.models.Model.load(folder).load_input_example(folder).to_dict(orient="list"),
    }
print(json.dumps(found))
