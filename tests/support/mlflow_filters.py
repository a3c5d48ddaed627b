"""Run by MLflow's own interpreter: reads filters as MLflow does, and says which runs its own store finds.

Standard input is JSON: ``{"parse": {language: [text]}}`` or ``{"runs": [...], "searches": [...]}``; so is the answer.
"""

import json
import sys
import tempfile

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LifecycleStage,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunStatus,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore, _get_search_experiments_filter_clauses
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchModelVersionUtils, SearchUtils

INFO = RunInfo("r", "0", "u", "RUNNING", 1, None, LifecycleStage.ACTIVE, "uri", run_name="name")
NOBODY = Run(INFO, RunData([], [], []), RunInputs([]))


def read_runs(text):
    parsed = SearchUtils.parse_search_filter(text)
    for each in parsed:
        SearchUtils._does_run_match_clause(NOBODY, each)
        if each["type"] == "attribute":
            each["key"] = SearchUtils.translate_key_alias(each["key"])
        if each["type"] == "metric":
            each["value"] = float(each["value"])
    return [[each["type"], each["key"], each["comparator"].upper(), each["value"]] for each in parsed]


def read_experiments(text):
    parsed = SearchExperimentsUtils.parse_search_filter(text)
    _get_search_experiments_filter_clauses(
        [{**each, "comparator": each["comparator"].upper()} for each in parsed], "sqlite"
    )
    return [[each["type"], each["key"], each["comparator"].upper(), each["value"]] for each in parsed]


def read_versions(text):
    parsed = SearchModelVersionUtils.parse_search_filter(text)
    for each in parsed:
        kind, key, sign = each["type"], each["key"], each["comparator"].upper()
        if kind == "tag":
            SearchModelVersionUtils.is_tag(kind, sign)
        else:
            SearchModelVersionUtils.is_attribute(kind, key, sign)
            if key == "version_number":
                if isinstance(each["value"], float):
                    raise MlflowException("a fraction")
                each["value"] = int(each["value"])
    return [[each["type"], each["key"], each["comparator"].upper(), each["value"]] for each in parsed]


def read_order(text):
    kind, key, ascending = SearchUtils.parse_order_by_for_search_runs(text)
    if kind == "dataset":
        raise MlflowException("no order")
    return [kind, SearchUtils.translate_key_alias(key) if kind == "attribute" else key, not ascending]


READ = {"runs": read_runs, "experiments": read_experiments, "versions": read_versions, "order": read_order}


def parse(language, text):
    try:
        return [True, READ[language](text)]
    except Exception as fault:  # noqa: BLE001 - whatever it is, MLflow does not take the text
        return [False, f"{type(fault).__name__}: {fault}"[:200]]


def search(runs, searches):
    with tempfile.TemporaryDirectory() as folder:
        store = SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db", folder)
        names = {}
        for run in runs:
            tags = [RunTag(key, value) for key, value in run["tags"].items()]
            made = store.create_run("0", "anna", run["start_time"], tags, run["name"])
            run_id = made.info.run_id
            names[run_id] = run["name"]
            store.log_batch(
                run_id,
                [Metric(key, float(value), time, step) for key, step, time, value in run["points"]],
                [Param(key, value) for key, value in run["params"].items()],
                [],
            )
            inputs = [
                DatasetInput(Dataset(name, digest, "local", "x"), [InputTag("mlflow.data.context", context)])
                for name, digest, context in run["datasets"]
            ]
            if inputs:
                store.log_inputs(run_id, inputs)
            if run["status"] != "RUNNING":
                store.update_run_info(run_id, RunStatus.from_string(run["status"]), run["end_time"], None)
            if run["deleted"]:
                store.delete_run(run_id)
        found = []
        for text, order, view in searches:
            try:
                page = store.search_runs(["0"], text, view, 1000, order)
                found.append([names[run.info.run_id] for run in page])
            except MlflowException as fault:
                found.append(str(fault)[:200])
        return found


def main():
    asked = json.load(sys.stdin)
    if "parse" in asked:
        answer = {language: [parse(language, text) for text in texts] for language, texts in asked["parse"].items()}
    else:
        answer = search(asked["runs"], asked["searches"])
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
