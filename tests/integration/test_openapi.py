"""The OpenAPI document against a real server: schemathesis finds no fault.

`MAINSPRING_API_EXAMPLES=100 pytest tests/integration/test_openapi.py` looks longer,
`MAINSPRING_API_SEED` repeats what was seen.
"""

import json
import os
import random
import subprocess
import sys

import httpx
import pytest
from tests.support.servers import UpProcess

from mainspring.domain import access, messages, records
from mainspring.security.tokens import home_token

EXAMPLES = os.environ.get("MAINSPRING_API_EXAMPLES", "3")
SEED = os.environ.get("MAINSPRING_API_SEED") or str(random.randrange(2**32))
UNTRIED = {
    "/api/v1/events/stream": "it has no end; tests of streams read it",
}
UNCHECKED = {
    "positive_data_acceptance": "a name of nothing, a page of no search: no schema tells them from good ones",
}


@pytest.fixture
def server(client):
    up = UpProcess()
    yield up
    up.end()


def fill(client):
    """Make something of each kind; return parameter of a path -> values that name it."""
    run = client.ask(messages.BeginRun(kind="step", name="fit", params={"rate": 0.1})).run
    held = {"run_id": run.id, "attempt": run.attempt, "fence": run.fence}
    points = [("auc", 0, 1.0, 0.5), ("auc", 1, 2.0, float("nan")), ("auc", 2, 3.0, float("inf"))]
    client.ask(messages.Report(**held, offset=1, points=points))
    client.ask(messages.FinishRun(**held, state="succeeded"))
    failed = client.ask(messages.BeginRun(kind="step", name="judge", parent_id=None)).run
    problem = records.Problem("RUN-006", "it raised", "the code raised", "mend it")
    client.ask(messages.FinishRun(run_id=failed.id, attempt=1, fence=failed.fence, state="failed", problem=problem))
    client.ask(messages.PutVersion(kind="dataset", name="rows", digest="d", manifest={"rows": 3}, run_id=None))
    client.ask(messages.PutVersion(kind="model", name="rows", digest="m", manifest={}, event_time=1.0))
    client.ask(messages.MoveAlias(kind="model", name="rows", alias="best", number=1))
    client.ask(messages.Apply(declarations=[records.Declaration("gate", "rows->champion", {"alpha": 0.1})]))
    client.ask(access.AddUser(name="rows", role="viewer"))
    token = client.ask(access.IssueToken(principal="rows", expires_s=1000.0)).record
    client.ask(access.AddSecret(name="rows", value="a value that is kept"))
    client.ask(access.AddProject(name="rows"))
    return {
        "id": [run.id, token.id],
        "run_id": [run.id, failed.id],
        "key": ["auc"],
        "reference": ["rows", "rows@1", "rows@best"],
        "name": ["rows", "rows->champion"],
        "model": ["rows"],
        "alias": ["best"],
        "kind": ["gate"],
        "thing": [run.id, failed.id[-8:], "rows@best"],
    }


def point_to(document, names):
    """Have the document tell what there is, and let nobody wait."""
    for verbs in document["paths"].values():
        for verb in verbs.values():
            # Half a minute for each request that may wait; its bounds are tested where HTTP is.
            verb["parameters"] = [each for each in verb["parameters"] if each["name"] != "wait_s"]
            for each in verb["parameters"]:
                if each["in"] == "path":
                    each["examples"] = {value: {"value": value} for value in names.get(each["name"], ())}
    return document


@pytest.mark.timeout(900)
def test_schemathesis_finds_no_fault(server, client, tmp_path):
    print(f"MAINSPRING_API_SEED={SEED} MAINSPRING_API_EXAMPLES={EXAMPLES}")
    headers = {"Authorization": f"Bearer {home_token(client.home)}"}
    document = httpx.get(f"{server.url}/api/v1/openapi.json", headers=headers, timeout=60).json()
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(point_to(document, fill(client))))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(path), "--url", server.url, "--no-color"),
        *("--header", f"Authorization: {headers['Authorization']}", "--seed", SEED, "--max-examples", EXAMPLES),
        *("--exclude-checks", ",".join(UNCHECKED), "--request-timeout", "60", "--warnings", "off"),
        *("--generation-database", "none", "--no-shrink"),
        *(word for path in UNTRIED for word in ("--exclude-path", path)),
    ]
    ended = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr
    operations = sum(len(verbs) for verbs in document["paths"].values()) - len(UNTRIED)
    assert f"Tested: {operations}" in ended.stdout
