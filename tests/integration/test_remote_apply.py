"""A pipeline that was applied from another machine starts at the server, by data and by a call from outside."""

import hashlib
import hmac
import importlib
import json
import subprocess
import sys
import time

import httpx
import pytest
from tests.support.laptops import Laptop

import mainspring as ms
from mainspring.domain import access
from mainspring.domain.errors import Invalid
from mainspring.domain.messages import ListRuns, WaitRuns
from mainspring.domain.triggers import GetPipeline, StartPipeline
from mainspring.sdk.client import get_client

FLOW = """
import mainspring as ms

@ms.pipeline(triggers=[ms.On("data", dataset="orders"), ms.On("webhook", name="ci", secret="CI_HOOK")])
def ship(event=None):
    ms.write([{"event": event["event"], "what": str(event["body"])}], "shipped", mode="append")
"""


@pytest.fixture
def laptop(client, tmp_path, monkeypatch):
    made = Laptop(client, tmp_path / "laptop", monkeypatch)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "shipping.py").write_text(FLOW)
    monkeypatch.syspath_prepend(str(tmp_path / "project"))
    yield made
    made.end()
    sys.modules.pop("shipping", None)


def wait_for_run(count):
    deadline = time.monotonic() + 90
    while len(found := get_client().ask(ListRuns(kind="pipeline", name="ship"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (run,) = get_client().ask(WaitRuns(ids=[found[0].id], wait_s=90))
    assert run.state == "succeeded", run.problem
    return run


def test_a_home_that_runs_no_code_of_others_takes_none(laptop):
    shipping = importlib.import_module("shipping")
    with pytest.raises(Invalid, match="API-018: code does not travel") as caught:
        ms.apply(shipping.ship)
    assert "MAINSPRING_REMOTE_CODE" in caught.value.why


def clone(folder, name="one"):
    """Make what a colleague has: a work tree with an origin, and the same files."""
    made = folder / name
    (made / ".git").mkdir(parents=True)
    user = f"{name}:canary@" if name == "one" else ""
    subprocess.run(["git", "init", "-q", str(made)], check=True)
    origin = f"https://{user}git.example.org/air/flows.git" if name == "one" else "git@git.example.org:air/flows"
    subprocess.run(["git", "-C", str(made), "remote", "add", "origin", origin], check=True)
    (made / "jobs").mkdir()
    return made / "jobs"


def apply_file(folder, text, *words):
    (folder / "rules.py").write_text(text)
    command = [sys.executable, "-m", "mainspring", "apply", "rules.py", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_server_tells_what_vanished_from_a_file_to_whoever_applies_it(laptop, tmp_path):
    views = """import mainspring as ms
import datetime
class Order(ms.Contract):
    id: str
class Bill(ms.Contract):
    id: str
"""
    del laptop
    mine, theirs = clone(tmp_path), clone(tmp_path, "two")
    assert {line[:1] for line in apply_file(mine, views) if line[:1] != " "} == {"+"}
    fewer = views.partition("class Bill")[0]
    gone = "! contract Bill  its file declares it no longer; it stays: mainspring apply FILE --prune"
    wanted = ["= contract Order", gone]
    assert apply_file(mine, fewer, "--dry-run") == wanted
    assert apply_file(theirs, fewer) == wanted, "a colleague's clone is the same file"
    (tmp_path / "apart").mkdir()
    assert apply_file(tmp_path / "apart", fewer) == ["= contract Order"], "a file of that name elsewhere is another one"


@pytest.mark.usefixtures("open_home")
def test_it_starts_at_the_server_in_the_name_of_who_applied_it(laptop):
    shipping = importlib.import_module("shipping")
    assert ms.apply(shipping.ship).changes[0][:3] == ("+", "pipeline", "ship")
    assert ms.apply(shipping.ship).changes[0][0] == "="
    get_client().ask(access.AddSecret(name="CI_HOOK", value="the key of the hook"))
    ms.write([{"id": "a"}], "orders")
    run = wait_for_run(1)
    assert (run.principal, run.tags["trigger"]) == ("user:anna", "data")
    body = json.dumps({"ref": "main"}).encode()
    signature = hmac.digest(b"the key of the hook", body, hashlib.sha256).hex()
    answer = httpx.post(
        f"{laptop.server.url}/hooks/air/ship/ci",
        content=body,
        headers={"X-Hub-Signature-256": f"sha256={signature}", "Content-Type": "application/json"},
    )
    assert answer.status_code == 202, answer.text
    assert wait_for_run(2).tags["trigger"] == "webhook"
    get_client().ask(StartPipeline(name="ship"))
    assert wait_for_run(3).tags["trigger"] == "start"
    rows = ms.Dataset("shipped").polars().sort("event").to_dicts()
    assert [row["event"] for row in rows] == ["data", "start", "webhook"]
    assert rows[2]["what"] == "{'ref': 'main'}"
    applied = get_client().ask(GetPipeline(name="ship"))
    assert (applied.principal, applied.folder) == ("user:anna", "")
