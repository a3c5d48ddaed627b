"""Code from another machine: sent with what it imports, run by workers of the home as whoever sent it, or refused."""

import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from tests.support.laptops import Laptop
from tests.support.travellers import chain, double, learn, linger, nest, open_up, place, wrap, wrap_and_open

import mainspring as ms
from mainspring.domain import access, messages
from mainspring.domain.errors import Denied, Failed, Invalid, NotFound
from mainspring.domain.messages import ListRuns, RunSpec, SubmitRuns
from mainspring.domain.retries import GetCall, RetryRuns
from mainspring.sdk.calls import pack_call
from mainspring.sdk.client import Client, get_client
from mainspring.sdk.debugging import debug_call
from mainspring.security.tokens import home_token
from mainspring.testing.engines import until, wait


@pytest.fixture
def laptop(request, client, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    made = Laptop(client, tmp_path / "laptop", monkeypatch, role="runner")
    yield made
    made.end()


def latest(name):
    return get_client().ask(ListRuns(name=name, limit=1))[0]


@pytest.mark.usefixtures("open_home")
def test_code_travels_with_what_it_imports_and_runs_as_its_sender(laptop, client):
    assert [future.result() for future in double.map([1, 2, 3])] == [2, 4, 6]
    told = place.submit("anna").result()
    assert Path(told["file"]).is_relative_to(client.home.snapshots)
    assert Path(told["folder"]).is_relative_to(client.home.root / "scratch")
    assert told["files"] == ["left.txt"]
    assert not Path(told["folder"]).exists()
    run = latest("place")
    assert run.principal == "user:anna"
    call = get_client().ask(GetCall(run.id))
    assert (call.foreign, call.paths, call.folder, call.python) == ("user:anna", (), "", "")

    future, folder = linger.submit(), client.home.root / "scratch"
    for _ in until():
        if list(folder.glob("*/left.txt")):
            break
    future.cancel()
    for _ in until():
        if not list(folder.iterdir()):
            break

    offset = 10

    @ms.step(cpus=2)
    def add(number):
        return number + offset

    assert add(1) == 11
    study = ms.tune(
        learn, {"rate": [0.1, 0.3]}, metric="loss", mode="min", budget=ms.Budget(trials=2), searcher="grid", repeats=0
    )
    assert study.params == {"rate": 0.3}
    told = client.ask(access.ListAudit())
    sent = [entry for entry in told if entry.action == "runs.submit_code"]
    assert {entry.principal for entry in sent} == {"user:anna"}
    assert any('"runs":3' in str(entry.body).replace(" ", "") for entry in sent)


SEARCH = """
import mainspring as ms
from tests.support.travellers import learn_slowly

budget, space = ms.Budget(trials=8), {"rate": ms.between(0.0, 1.0)}
ms.tune(learn_slowly, space, metric="loss", mode="min", budget=budget, pruner="none", parallel=1, repeats=0)
"""


@pytest.mark.usefixtures("open_home")
def test_a_search_whose_laptop_is_gone_goes_on_at_the_server(laptop, client):
    here = get_client()
    script = subprocess.Popen([sys.executable, "-c", SEARCH])
    try:
        for _ in until():
            done = here.ask(ListRuns(kind="trial", state="succeeded"))
            if done:
                break
    finally:
        script.kill()
        script.wait()
    (study,) = here.ask(ListRuns(kind="study"))
    call = client.ask(GetCall(study.id), project="air")
    assert (call.foreign, call.python, call.folder) == ("user:anna", "", "")
    for _ in until():
        if here.ask(messages.GetRun(id=study.id)).state == "failed":
            break
    (again,) = here.ask(RetryRuns([study.id]))
    (ended,) = wait(here, again)
    assert ended.state == "succeeded", ended.problem
    newest = here.ask(ListRuns(kind="study", limit=1))[0]
    assert (newest.parent_id, newest.state, newest.tags["study"]) == (again.id, "succeeded", study.tags["study"])
    trials = here.ask(ListRuns(kind="trial"))
    assert sum(run.state == "succeeded" for run in trials) == 8
    assert {run.id for run in done} <= {run.id for run in trials}, "those that it had count"
    assert {run.principal for run in (study, ended)} == {"user:anna"}


@pytest.mark.usefixtures("open_home")
def test_runs_are_started_from_elsewhere_and_go_on_alone(laptop, client):
    run = ms.run(double, 21, wait=True)
    assert (run.state, run.result()) == ("succeeded", 42)
    run = ms.run(chain, 5)
    assert run.wait(90).state == "succeeded"
    kept = get_client().ask(ListRuns(kind="pipeline"))[0]
    assert (kept.id, kept.principal) == (run.id, "user:anna")
    below = get_client().ask(ListRuns(parent_id=run.id))
    assert {each.name for each in below} == {"double"}
    command = ms.run([sys.executable, "-c", "print('hello from', 'elsewhere')"], wait=True)
    assert command.state == "succeeded"
    assert "hello from elsewhere" in command.logs()
    failed = ms.run(double, None, wait=True)
    assert (failed.state, failed.record.problem.code) == ("failed", "RUN-006")
    with pytest.raises(Invalid, match="STEP-004"):
        ms.run("double")


@pytest.mark.usefixtures("open_home")
def test_what_was_pickled_elsewhere_is_no_edge_and_says_why(laptop):
    made = wrap.submit(3)
    after = open_up.submit(made)
    with pytest.raises(Invalid, match="API-027: what wrap returned was pickled where it ran") as caught:
        after.result()
    assert "pipeline" in caught.value.fix
    assert latest("wrap").state == "succeeded"
    assert get_client().ask(ListRuns(name="open_up")) == [], "nothing was queued"
    assert ms.run(wrap_and_open, 3, wait=True).result() == 3, "where it was pickled it is opened"


@pytest.mark.usefixtures("open_home")
def test_the_key_is_the_same_here_there_and_at_home(laptop, client, monkeypatch):
    assert nest.submit(20).result() == 82
    below = get_client().ask(ListRuns(parent_id=latest("nest").id))
    keys = {run.params["number"]: run.key for run in below}
    assert double(20) == 40
    assert double.submit(21).result() == 42
    hits = get_client().ask(ListRuns(name="double", limit=2))
    assert [run.cached_from is not None for run in hits] == [True, True]
    assert {run.params["number"]: run.key for run in hits} == keys
    with monkeypatch.context() as patch:
        patch.setenv("MAINSPRING_URL", "")
        patch.setenv("MAINSPRING_HOME", str(client.home.root))
        assert double(20) == 40
    assert latest("double").cached_from
    assert latest("double").principal != "user:anna"


@pytest.mark.usefixtures("open_home")
def test_nothing_that_was_pickled_elsewhere_is_opened(laptop, client):
    with pytest.raises(Invalid, match="API-027: what wrap returned"):
        wrap.submit(3).result()
    run = latest("wrap")
    assert run.state == "succeeded"
    assert wrap(4).value == 4  # made here
    here = Client(client.home, project="air")
    call = here.ask(GetCall(run.id))
    with pytest.raises(Denied, match="HOME-012"):
        debug_call(here, run, call, from_start=False)
    with pytest.raises(Denied, match="HOME-012"):  # no seal: nothing but the worker of the run takes it
        here.seal.open(here.blobs.get(call.payload))
    here.close()


@pytest.mark.usefixtures("open_home")
def test_what_a_sender_may_not_name_is_refused(laptop, client):
    here = get_client()
    call = pack_call(here, double.function, (1,), {})

    def submit(**changes):
        spec = RunSpec(kind="step", name="double", call=msgspec.structs.replace(call, **changes))
        return here.ask(SubmitRuns(runs=[spec]))[0]

    for changes in ({"python": "/bin/sh"}, {"paths": ("/",)}, {"folder": "/etc"}):
        with pytest.raises(Invalid, match="API-018"):
            submit(**changes)
    secret = client.blobs.put(b"of another project")
    for changes in ({"payload": secret}, {"snapshot": secret}, {"environment": secret}):
        with pytest.raises(NotFound, match="HOME-013"):
            submit(**changes)
    with pytest.raises(Invalid, match="ENV-005"):
        submit(variables={"MAINSPRING_HOME": "/tmp"})
    for needs, words in (({"python": "3.9"}, "Python 3.9"), ({"msgspec": "0.1"}, "msgspec 0.1")):
        (ended,) = wait(here, submit(needs=needs))
        assert (ended.problem.code, words in ended.problem.what) == ("ENV-007", True), ended.problem
    outside = here.blobs.put(msgspec.msgpack.encode({"../../evil.py": b"x = 1"}))
    (ended,) = wait(here, submit(snapshot=outside))
    assert ended.problem.code == "HOME-011"
    assert not list(client.home.root.rglob("evil.py"))
    (ended,) = wait(here, submit(foreign="user:ben", preload=("antigravity",), needs={}))
    kept = here.ask(GetCall(ended.id))
    assert (ended.state, kept.foreign, kept.preload) == ("succeeded", "user:anna", ())
    held = here.ask(messages.BeginRun(kind="step", name="x")).run
    with pytest.raises(Invalid, match="API-018"):
        here.ask(messages.FinishRun(run_id=held.id, attempt=1, fence=held.fence, state="failed", call=call))
    laptop.work(home_token(client.home), "air")  # who is admin of all is let in by the same word
    assert double.submit(5).result() == 10
    laptop.work(laptop.add("ben", "viewer", "air"), "air")
    with pytest.raises(Denied, match="AUTH-005"):
        double.submit(1)


def test_a_home_lets_no_code_in_unless_its_owner_says_so(laptop, client):
    with pytest.raises(Invalid, match="API-018") as caught:
        double.submit(1)
    assert "MAINSPRING_REMOTE_CODE" in caught.value.why
    with laptop.monkeypatch.context() as patch:
        patch.setenv("MAINSPRING_TOKEN", home_token(client.home))
        with pytest.raises(Invalid, match="API-018"):
            double.submit(1)
    assert double(4) == 8
    assert len(get_client().ask(ListRuns(kind="step"))) == 1

    @ms.step
    def fail():
        raise ValueError("here")

    with pytest.raises(ValueError, match="here"):  # a failure here is told, without its call
        fail()
    assert latest("fail").problem.what == "fail raised ValueError: here"


@pytest.mark.usefixtures("open_home", "wheels")
def test_an_environment_is_locked_and_built_at_the_home(laptop, client):
    from tests.support.speakers import speak

    word, name, prefix, _ = speak("anna")
    assert (word, name) == ("two", "anna")
    assert Path(prefix).is_relative_to(client.home.environments)
    with pytest.raises(Failed, match="ENV-002"):
        speak.options(env=ms.Env(["tinywords==9"]))("anna")
