"""Run by an interpreter with MLflow: save a model of each kind, and tell what pyfunc answers for the same rows."""

import json
import sys
from pathlib import Path

import lightgbm
import mlflow
import numpy as np
import pandas as pd
import xgboost
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

root, rng = Path(sys.argv[1]), np.random.default_rng(20130101)
rows = pd.DataFrame(rng.normal(size=(300, 3)), columns=["a", "b", "c"]).assign(d=rng.integers(0, 9, 300))
truth = ((rows.a + rows.d / 9) > 0.5).astype(int)
answers = {}


def keep(name, save, model, *, given=rows, example=True, **options):
    """Save a model with its signature, ask pyfunc, and leave the rows beside it."""
    signature = infer_signature(given, model.predict(given))
    if example:
        options["input_example"] = given[:5]
    save(model, root / name, signature=signature, **options)
    answers[name] = np.asarray(mlflow.pyfunc.load_model(str(root / name)).predict(given[:100])).tolist()


class Doubled(mlflow.pyfunc.PythonModel):
    """Code, and no model of a library."""

    def predict(self, context, model_input, params=None):
        return model_input["a"] * 2


linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, truth)
keep("skops", mlflow.sklearn.save_model, linear, serialization_format="skops")
keep("pickled", mlflow.sklearn.save_model, linear, serialization_format="cloudpickle")
keep("plain", mlflow.sklearn.save_model, linear, serialization_format="skops", example=False)
matrix = rows.to_numpy()
unnamed = LogisticRegression().fit(matrix, truth)
keep("matrix", mlflow.sklearn.save_model, unnamed, given=matrix, serialization_format="skops")
light = lightgbm.LGBMClassifier(n_estimators=8, verbose=-1).fit(rows, truth)
keep("lightgbm", mlflow.lightgbm.save_model, light)
keep("lightgbm_booster", mlflow.lightgbm.save_model, light.booster_)
boosted = xgboost.XGBClassifier(n_estimators=8).fit(rows, truth)
keep("xgboost", mlflow.xgboost.save_model, boosted)
signature = infer_signature(rows)
mlflow.xgboost.save_model(boosted.get_booster(), root / "xgboost_booster", signature=signature, input_example=rows[:5])
answers["xgboost_booster"] = boosted.get_booster().predict(xgboost.DMatrix(rows[:100])).tolist()
mlflow.pyfunc.save_model(root / "code", python_model=Doubled(), signature=signature, input_example=rows[:5])
print(json.dumps({"rows": rows[:100].to_dict(orient="list"), "answers": answers}))
