"""Apply and triggers with real processes: files that fail, two at once, and a loop that nobody sits before."""

import json
import os
import sqlite3
import subprocess
import sys
import time

import pytest
from tests.support.homes import end_owner

import mainspring as ms
from mainspring.domain.messages import GetVersion, ListRuns, WaitRuns
from mainspring.domain.triggers import GetPipeline, ListPipelines
from mainspring.sdk.client import get_client

FLOW = """
import mainspring as ms

class Order(ms.Contract):
    id: str = ms.Field(key=True)

@ms.step
def count(rows, of):
    return ms.write([{"rows": len(rows), "of": of}], "report")

@ms.pipeline(triggers=[ms.On("data", dataset="orders"), ms.Cron("0 6 * * *", tz="Europe/Berlin")])
def tell(event=None):
    count(ms.Dataset("orders").polars(), event and event["subject"])

gate = ms.Gate("delays", target="late", tests=["auc >= 0.5"])
watch = ms.Monitor(labels="truth", key="id", target="late", event_time="at")
plain = ms.Monitor(event_time="at")
"""
APPLY = "import mainspring as ms, flow\nms.apply(flow.gate, flow.tell)\n"


@pytest.fixture
def folder(tmp_path, home, monkeypatch):
    """A project's folder, whose owner ends soon when nothing keeps it."""
    monkeypatch.setenv("MAINSPRING_PROGRESS", "0")
    made = tmp_path / "project"
    made.mkdir()
    (made / "flow.py").write_text(FLOW)
    yield made
    end_owner(home)


def say(folder, *words, code=0):
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=os.environ, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == code, done.stderr
    return done


def mainspring(folder, *words, code=0):
    return say(folder, "-m", "mainspring", *words, code=code)


def wait_for(what, seconds=90):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)
    return found


def is_gone(home):
    """Tell whether no owner holds the lock."""
    try:
        os.kill(int(home.lock.read_text() or 0), 0)
    except (ProcessLookupError, FileNotFoundError):
        return True
    return False


def list_applied():
    return [each.name for each in get_client().ask(ListPipelines())]


def test_a_file_that_fails_on_import_applies_nothing(folder):
    (folder / "torn.py").write_text("import flow\nlimits = {}\nprint(limits['late'])\n")
    done = mainspring(folder, "apply", "flow.py", "torn.py", code=1)
    assert "CLI-006: torn.py raised KeyError: 'late'" in done.stderr
    assert done.stderr.count("  File ") == 1, "the user's own line alone"
    assert "print(limits['late'])" in done.stderr
    (folder / "torn.py").write_text("raise SystemExit(0)\n")
    assert "CLI-006: torn.py ended the process" in mainspring(folder, "apply", "torn.py", code=1).stderr
    (folder / "torn.py").write_text("def (:\n")
    assert "SyntaxError" in mainspring(folder, "apply", "flow.py", "torn.py", code=1).stderr
    never = 'import mainspring as ms\n@ms.pipeline(triggers=[ms.Cron("0 0 30 2 *")])\ndef no(): pass\n'
    (folder / "torn.py").write_text(never)
    told = mainspring(folder, "apply", "flow.py", "torn.py", code=2).stderr
    assert told.startswith("TRIGGER-002: '0 0 30 2 *' never fires: feb has no day 30")
    assert "Traceback" not in told
    assert list_applied() == []


def test_files_are_applied_with_a_difference_field_by_field(folder):
    lines = mainspring(folder, "apply", "flow.py").stdout.splitlines()
    marks = [line for line in lines if not line.startswith(" ")]
    assert marks == [
        "+ contract Order  (needs editor)",
        "+ pipeline tell  (needs editor)",
        "+ gate delays->champion  (needs approver)",
        "+ monitor truth  (needs editor)",
    ]
    text = FLOW.replace("0 6", "0 7").replace("len(rows)", "rows.height")
    (folder / "flow.py").write_text(text)
    told = mainspring(folder, "apply", "flow.py", "--dry-run").stdout
    assert "~ pipeline tell  (needs editor)\n    code: 1 changed file (flow.py)\n    triggers: " in told
    assert "Cron 0 6 * * * Europe/Berlin -> On data(dataset=orders), Cron 0 7 * * * Europe/Berlin" in told
    data = json.loads(mainspring(folder, "apply", "flow.py", "--json").stdout)
    assert [mark for mark, *_ in data["changes"]] == ["=", "~", "=", "="]
    (folder / "flow.py").write_text(text.replace("def tell(", "def told("))
    told = mainspring(folder, "apply", "flow.py").stdout
    assert "! pipeline tell  its file declares it no longer; it stays: mainspring apply FILE --prune" in told
    assert list_applied() == ["tell", "told"]
    told = mainspring(folder, "apply", "flow.py", "--prune").stdout
    assert "- pipeline tell  (needs editor)  its file declares it no longer" in told
    assert list_applied() == ["told"]
    (folder / "flow.py").write_text("")
    assert "CLI-002" in mainspring(folder, "apply", "flow.py", code=3).stderr
    told = mainspring(folder, "apply", "flow.py", "--prune").stdout
    for kind in ("- contract Order", "- pipeline told", "- monitor truth", "! gate delays->champion"):
        assert kind in told
    assert list_applied() == []


def test_two_applies_at_once_leave_one_order_and_one_clear_error(folder):
    mainspring(folder, "apply", "flow.py")
    hours = range(4)
    for hour in hours:
        (folder / str(hour)).mkdir()
        (folder / str(hour) / "flow.py").write_text(FLOW.replace("0 6", f"{hour} 6"))
    command = [sys.executable, "-m", "mainspring", "apply"]
    begun = [
        subprocess.Popen(
            [*command, f"{hour}/flow.py"], cwd=folder, stderr=subprocess.PIPE, text=True, stdout=subprocess.PIPE
        )
        for hour in hours
    ]
    ended = [(each.communicate(timeout=100)[1], each.returncode) for each in begun]
    done = [f"{hour} 6 * * *" for hour, (_, code) in zip(hours, ended, strict=True) if code == 0]
    assert done, ended
    for told, code in ended:
        assert code in {0, 5}, told
        assert code == 0 or told.startswith("TRIGGER-004: pipeline tell was applied by user:"), told
    _, schedule = get_client().ask(GetPipeline(name="tell")).triggers
    assert schedule.match["expression"] in done


def test_the_loop_closes_when_the_script_is_gone_and_its_owner_went(folder, home, monkeypatch):
    monkeypatch.setenv("MAINSPRING_IDLE_S", "0.5")
    (folder / "flow.py").write_text(FLOW.replace(', ms.Cron("0 6 * * *", tz="Europe/Berlin")', ""))
    say(folder, "-c", APPLY)
    wait_for(lambda: is_gone(home))
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    # Somebody else's process, which knows nothing of the pipeline; the owner comes back for it.
    say(folder, "-c", "import mainspring as ms\nms.write([{'id': 'a'}, {'id': 'b'}], 'orders')")
    client = get_client()
    (run,) = wait_for(lambda: client.ask(ListRuns(kind="pipeline", name="tell")))
    (run,) = client.ask(WaitRuns(ids=[run.id], wait_s=100))
    assert (run.state, run.tags["trigger"]) == ("succeeded", "data"), run.problem
    assert client.ask(GetVersion(kind="dataset", reference="report")).run_id is not None
    assert ms.Dataset("report").polars().to_dicts() == [{"rows": 2, "of": "orders@1"}]
    told = str(ms.why(run.id))
    assert "started by On data(dataset=orders): orders@1, in the name of user:" in told


def test_a_schedule_that_was_missed_by_a_killed_owner_starts_once(folder, home):
    say(folder, "-c", APPLY)
    end_owner(home)
    with sqlite3.connect(home.state / "record.db") as record:
        record.execute("UPDATE triggers SET due_at = 1000000000.0 WHERE event = 'time'")
    record.close()
    ms.write([{"id": "a"}], "elsewhere")
    client = get_client()
    (run,) = wait_for(lambda: client.ask(ListRuns(kind="pipeline", name="tell")))
    assert run.params["event_time"] == 1_000_000_000.0
    client.ask(WaitRuns(ids=[run.id], wait_s=60))
    schedule = client.ask(GetPipeline(name="tell")).triggers[1]
    assert (schedule.starts, schedule.run_id) == (1, run.id)
    assert schedule.due_at > time.time()
