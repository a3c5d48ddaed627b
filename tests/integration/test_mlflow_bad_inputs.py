"""Requests of MLflow's that must be refused: each in its shape, in its words, and nothing of it stays."""

import json
import socket
import threading

import pytest
from tests.support.homes import Desk
from tests.support.relays import HOME_TOKEN, Site

from mainspring.cli.loopback import listen
from mainspring.store.dialects.sqlite import driver
from mainspring.store.homes import place_home

AT = "/api/2.0/mlflow"
SEE = " See the API docs for more information about request parameters."
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mainspring' AND datname = '{}'"


class Program:
    """What a client of MLflow sends, by hand."""

    def __init__(self, desk):
        self.site = Site(desk)
        self.run_id = self.post("runs/create", experiment_id="0").json()["run"]["info"]["run_id"]

    def post(self, path, content=None, **fields):
        body = json.dumps(fields).encode() if content is None else content
        return self.site("POST", f"{AT}/{path}", content=body, headers={"Content-Type": "application/json"})

    def run(self):
        return self.site("GET", f"{AT}/runs/get", params={"run_id": self.run_id}).json()["run"]

    def refuse(self, path, message, code="INVALID_PARAMETER_VALUE", expect=400, body=None, **fields):
        before = self.run()
        answer = self.post(path, body, **fields)
        told = answer.json()
        assert (answer.status_code, told["error_code"]) == (expect, code), told
        assert message in told["message"]
        assert set(told) == {"error_code", "message"}
        assert self.run() == before


@pytest.fixture
def program(desk):
    return Program(desk)


def metrics(count, **fields):
    return [{"key": "m", "value": 1.0, "timestamp": number, "step": number, **fields} for number in range(count)]


def pairs(count):
    return [{"key": f"k{number}", "value": "v"} for number in range(count)]


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("runs/log-metric", {"run_id": ""}, f"Missing value for required parameter 'run_id'.{SEE}"),
        (
            "runs/log-metric",
            {"run_id": 31, "key": "m"},
            "Invalid value 31 for parameter 'run_id' supplied:  Hint: Value",
        ),
        ("runs/log-metric", {"key": "m", "timestamp": 1}, "Missing value for required parameter 'value'"),
        ("runs/log-metric", {"key": "m", "value": 1}, "Missing value for required parameter 'timestamp'"),
        ("runs/log-metric", {"key": "", "value": 1, "timestamp": 1}, "Missing value for required parameter 'key'"),
        ("runs/log-metric", {"key": "m", "value": "x", "timestamp": 1}, "Invalid value \"x\" for parameter 'value'"),
        ("runs/log-metric", {"key": "m", "value": 1, "timestamp": 1.5}, "Invalid value 1.5 for parameter 'timestamp'"),
        ("runs/log-metric", {"key": "m", "value": 1, "timestamp": 2**64}, "for parameter 'timestamp' supplied"),
        ("runs/log-metric", {"key": "m", "value": 1, "timestamp": -1}, "Timestamp must be a nonnegative long"),
        ("runs/log-metric", {"key": "m" * 251, "value": 1, "timestamp": 1}, "'Metric name' exceeds the maximum length"),
        ("runs/log-metric", {"key": "a\n", "value": 1, "timestamp": 1}, "Names may only contain alphanumerics"),
        ("runs/log-metric", {"key": "../up", "value": 1, "timestamp": 1}, "This name would resolve to '../up'"),
        ("runs/log-parameter", {"key": "p" * 251, "value": "v"}, "'Param key' exceeds the maximum length of 250"),
        ("runs/log-parameter", {"key": "/p", "value": "v"}, "must not resolve to other names"),
        ("runs/set-tag", {"key": "t" * 251, "value": "v"}, "'key' exceeds the maximum length of 250 characters"),
        ("runs/set-tag", {"key": "t", "value": 7}, "Invalid value 7 for parameter 'value' supplied"),
        ("runs/log-batch", {"metrics": metrics(1001)}, "can contain at most 1000 metrics. Got 1001 metrics"),
        ("runs/log-batch", {"params": pairs(101)}, "can contain at most 100 params. Got 101 params"),
        ("runs/log-batch", {"tags": pairs(101)}, "can contain at most 100 tags. Got 101 tags"),
        (
            "runs/log-batch",
            {"metrics": metrics(950), "params": pairs(30), "tags": pairs(30)},
            "can contain at most 1000 metrics, params, and tags. Got 1010",
        ),
        ("runs/log-batch", {"metrics": [{"key": "m", "timestamp": 1}]}, "required parameter 'metrics[0].value'"),
        ("runs/log-batch", {"metrics": metrics(1, value="x")}, "Invalid value \"x\" for parameter 'metrics[0].value'"),
        ("runs/log-batch", {"params": [{"value": "v"}]}, "Missing value for required parameter 'params[0].key'"),
        ("runs/log-batch", {"params": pairs(1) * 2}, "Duplicate parameter keys have been submitted: ['k0']"),
        ("runs/log-batch", {"metrics": "all"}, "Invalid value \"all\" for parameter 'metrics' supplied"),
        ("runs/log-batch", {"tags": pairs(1), "metrics": metrics(1, key="a$")}, "parameter 'metrics[0].name' supplied"),
        ("runs/log-inputs", {"datasets": [{}]}, "Dataset cannot be None"),
        ("runs/log-inputs", {"datasets": [{"dataset": {"name": "d"}}]}, "Dataset digest cannot be None"),
        ("runs/update", {"status": "DONE"}, "Invalid value \"DONE\" for parameter 'status'"),
        ("experiments/create", {}, "Missing value for required parameter 'name'"),
        ("experiments/create", {"name": "x" * 501}, "'name' exceeds the maximum length of 500 characters"),
        ("experiments/create", {"name": 5}, "Invalid value 5 for parameter 'name' supplied"),
        ("experiments/search", {"max_results": 0}, "Invalid value 0 for parameter 'max_results' supplied"),
        ("experiments/search", {"max_results": 50_001}, "It must be at most 50000"),
        ("experiments/search", {"max_results": 5, "filter": "name >"}, "(at character"),
        ("experiments/search", {"max_results": 5, "order_by": ["tags.x"]}, "Invalid order_by entity"),
        ("experiments/search", {"max_results": 5, "page_token": "none"}, "is no page"),
        ("experiments/search-datasets", {}, "must specify at least one experiment_id"),
        ("runs/create", {"experiment_id": "x"}, "Invalid experiment ID 'x'. Experiment ID must be a valid integer."),
    ],
    ids=lambda value: value if isinstance(value, str) and "/" in value else "",
)
def test_what_is_wrong_is_named(program, path, fields, message):
    own = {"run_id": program.run_id} if path.startswith("runs/") and path != "runs/create" else {}
    program.refuse(path, message, **{**own, **fields})


def test_a_batch_of_more_than_a_megabyte_is_refused_whole(program):
    tags = [{"key": f"k{number}", "value": "v" * 11_000} for number in range(92)]
    program.refuse(
        "runs/log-batch",
        "requests must be at most 1000000 bytes, got a request of size",
        run_id=program.run_id,
        tags=tags,
    )


def test_long_values_are_cut_as_mlflow_cuts_them(program):
    program.post("runs/log-parameter", run_id=program.run_id, key="p", value="v" * 6_001)
    program.post("runs/set-tag", run_id=program.run_id, key="t", value="v" * 8_001)
    data = program.run()["data"]
    assert data["params"] == [{"key": "p", "value": "v" * 6_000}]
    assert {"key": "t", "value": "v" * 8_000} in data["tags"]


def test_a_parameter_that_would_change_is_refused_with_both_values_and_its_batch(program):
    program.post("runs/log-parameter", run_id=program.run_id, key="p", value="1")
    message = f"Param with key='p' was already logged with value='1' for run ID='{program.run_id}'."
    program.refuse("runs/log-parameter", message, run_id=program.run_id, key="p", value="2")
    message = "Params were already logged='[{'key': 'p', 'old_value': '1', 'new_value': '2'}]'"
    program.refuse(
        "runs/log-batch",
        message,
        run_id=program.run_id,
        metrics=metrics(3),
        params=[{"key": "p", "value": "2"}, {"key": "q", "value": "1"}],
    )
    assert program.post("runs/log-parameter", run_id=program.run_id, key="p", value="1").status_code == 200


def test_a_run_that_is_not_there_and_one_that_is_deleted(program):
    unknown = "0" * 32
    for path, fields in (
        ("runs/log-metric", {"key": "m", "value": 1, "timestamp": 1}),
        ("runs/log-batch", {"metrics": metrics(1)}),
        ("runs/update", {"status": "FINISHED"}),
        ("runs/delete", {}),
    ):
        message = f"Run with id={unknown} not found"
        program.refuse(path, message, "RESOURCE_DOES_NOT_EXIST", 404, run_id=unknown, **fields)
    program.post("runs/delete", run_id=program.run_id)
    message = f"The run {program.run_id} must be in the 'active' state. Current state is deleted."
    program.refuse("runs/set-tag", message, run_id=program.run_id, key="t", value="v")
    program.refuse("runs/log-inputs", message, run_id=program.run_id, datasets=[])
    assert program.post("runs/restore", run_id=program.run_id).status_code == 200
    assert program.post("runs/set-tag", run_id=program.run_id, key="t", value="v").status_code == 200


def test_a_deleted_experiment_takes_no_run_and_keeps_its_name(program):
    number = program.post("experiments/create", name="churn").json()["experiment_id"]
    program.post("experiments/delete", experiment_id=number)
    message = f"The experiment {number} must be in the 'active' state. Current state is deleted."
    program.refuse("runs/create", message, experiment_id=number)
    program.refuse("experiments/create", "already exists", "RESOURCE_ALREADY_EXISTS", name="churn")
    program.refuse(
        "experiments/delete", "No Experiment with id=1 exists", "RESOURCE_DOES_NOT_EXIST", 404, experiment_id="1"
    )
    program.refuse("experiments/set-experiment-tag", message, experiment_id=number, key="a", value="b")


def test_numbers_come_in_every_way_that_mlflow_writes_them(program):
    for value in ("1.5", '"1.5"', "NaN", '"NaN"', "Infinity", '"-Infinity"', "-Infinity"):
        body = (
            f'{{"run_id": "{program.run_id}", "key": "m", "value": {value}, "timestamp": "7", "step": "3", "more": 1}}'
        )
        assert program.post("runs/log-metric", body.encode()).status_code == 200, value
    for body in (b"", b"{", b"[]", b"null", b'"text"'):
        program.refuse("runs/log-metric", "Missing value for required parameter 'run_id'", body=body)


def test_a_full_disk_is_told_in_its_shape_and_loses_nothing(desk):
    program = Program(desk)
    assert program.post("runs/log-batch", run_id=program.run_id, metrics=metrics(10)).status_code == 200
    before = program.run()

    def limit(pages):
        desk.call(lambda turn: driver(turn.connection).execute(f"PRAGMA max_page_count = {pages}"))

    found = []
    desk.call(lambda turn: found.append(driver(turn.connection).execute("PRAGMA page_count").fetchone()[0]))
    limit(found[0])
    tags = [{"key": f"k{number}", "value": "v" * 8_000} for number in range(60)]
    full = program.post("runs/log-batch", run_id=program.run_id, tags=tags, metrics=metrics(900, key="more"))
    assert (full.status_code, full.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert full.headers["mainspring-code"] == "HOME-006"
    assert program.run() == before
    limit(1_000_000)
    assert program.post("runs/log-batch", run_id=program.run_id, tags=tags).status_code == 200
    assert len(program.run()["data"]["tags"]) == len(before["data"]["tags"]) + 60


def test_a_database_that_goes_away_during_a_load_costs_nothing_that_was_answered(
    home, monkeypatch, postgresql, database
):
    monkeypatch.setenv("MAINSPRING_RECORD", database)
    desk = Desk(place_home(home.root))
    program = Program(desk)
    taken, refused = [], []
    for number in range(40):
        if number in {10, 25}:
            postgresql.run(END.format(database.rpartition("/")[2]))
        answer = program.post("runs/log-metric", run_id=program.run_id, key="m", value=number, timestamp=number)
        while answer.status_code != 200:
            assert (answer.status_code, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
            refused.append(number)
            answer = program.post("runs/log-metric", run_id=program.run_id, key="m", value=number, timestamp=number)
        taken.append(float(number))
    history = program.site(
        "GET", f"{AT}/metrics/get-history", params={"run_id": program.run_id, "metric_key": "m"}
    ).json()
    assert [each["value"] for each in history["metrics"]] == taken
    assert refused, "the database was never away"
    desk.close()


def test_small_answers_are_sent_at_once():
    """asyncio turns Nagle's algorithm off only for sockets whose protocol is named."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
        taken = []
        waiting = threading.Thread(target=lambda: taken.append(listener.accept()[0]))
        waiting.start()
        with socket.create_connection(listener.getsockname()):
            waiting.join()
            with taken[0] as connected:
                assert connected.proto == socket.IPPROTO_TCP


def test_no_token_is_told_in_a_refusal(program):
    answer = program.site("GET", f"{AT}/runs/get", f"{HOME_TOKEN[:-1]}b", params={"run_id": program.run_id})
    assert answer.status_code == 401
    assert HOME_TOKEN[:20] not in answer.text
