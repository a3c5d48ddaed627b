"""The loop in the record: labels, checks, cases, verdicts, canaries and aliases, one transaction each."""

import pytest
from tests.support.access import HOME_USER, Person

from mainspring.control import cases, renewals, rollout, services
from mainspring.control.finishing import end_run
from mainspring.domain import access, messages, triggers
from mainspring.domain.errors import Conflict, Failed, Invalid, NotFound
from mainspring.domain.records import Declaration
from mainspring.domain.wire import describe
from mainspring.sdk.monitors import Monitor
from mainspring.sdk.triggers import On
from mainspring.serving.files import RevisionStatus, Status
from mainspring.store import runs

DAY = 86_400.0
SNAPSHOT = {"files": {}, "entry": "pumps:train", "python": "python3", "preload": []}
MONITOR = {"labels": "outcomes", "key": "id", "target": "failed", "event_time": "at", "context": []}


def put(desk, name, digest, kind="dataset", **options):
    manifest = {"table": name} if kind == "dataset" else {}
    return desk.ask(messages.PutVersion(kind=kind, name=name, digest=digest, manifest=manifest, **options))


def model(desk, number):
    return put(desk, "pumps", f"m{number}", "model", details={"trained_on": []})


def declare(desk, *, cooldown_s=None, folder="/", **snapshot):
    trigger = {"event": "alarm", "cooldown_s": cooldown_s, "policy": "regret", "match": {"service": "pumps"}}
    body = {"triggers": [trigger], "snapshot": {**SNAPSHOT, **snapshot}, "folder": folder}
    gate = Declaration("gate", "pumps->champion", {"target": "failed"})
    return desk.ask(messages.Apply(declarations=[Declaration("pipeline", "train", body), gate]))


def end(desk, run, state="succeeded", **result):
    def close(turn):
        found = runs.get_run(turn.connection, run.id)
        runs.change_run(turn.connection, found, state="running")
        end_run(turn, runs.get_run(turn.connection, run.id), state, **result)

    desk.call(close)
    return desk.ask(messages.GetRun(id=run.id))


def judge(desk, number, *, passed, run_id=None):
    run = desk.ask(messages.Promote(model=f"pumps@{number}", alias="champion", data="recent@1", run_id=run_id))
    if run.state == "queued":
        end(desk, run, details={"passed": passed, "summary": "auc +0.1", "evidence": {"better": []}})
    return desk.ask(messages.GetVerdict(run_id=run.id))


def label(desk, day):
    put(desk, "outcomes", f"truth of day {day}", event_time=day * DAY)
    desk.call(renewals.follow_labels)


def check(desk, *, renew=True, alarms=()):
    (run,) = desk.ask(messages.ListRuns(kind="check", state="queued"))
    decision = {"renew": renew, "cause": "regret", "evidence": {}}
    return end(desk, run, details={"alarms": list(alarms), "performance": {}, "decision": decision, "state": {}})


def case(desk):
    return desk.ask(messages.ListRenewals())[0]


def training(desk):
    return desk.ask(messages.ListRuns(kind="pipeline", state="queued"))[0]


def move(desk, **statistics):
    """Let the plane report on the canary, and the loop decide."""

    def step(turn):
        service = services.find_service(turn, "pumps")
        canary = next(each for each in service.revisions if each.state == "canary")
        reports = {each.number: RevisionStatus("ready", requests=1000) for each in service.revisions}
        reports[canary.number] = RevisionStatus("ready", **statistics)
        rollout.advance(turn, service, Status(service.generation, 1, "", ready=True, revisions=reports))

    desk.call(step)
    return desk.ask(messages.GetService(name="pumps"))


@pytest.fixture
def served(desk):
    """A service with its first champion, and a pipeline that an alarm starts."""
    declare(desk)
    model(desk, 1)
    put(desk, "recent", "r1")
    assert judge(desk, 1, passed=True)
    desk.ask(messages.Deploy(name="pumps", model="pumps@champion", monitor=MONITOR))
    return desk


def champion(desk):
    return desk.ask(messages.GetVersion(kind="model", reference="pumps@champion")).reference


def test_a_renewal_goes_from_labels_to_a_full_canary_and_moves_the_alias_last(served):
    label(served, 30)
    evidence = {"since": 25 * DAY, "threshold": 4.56, "after": [0.25, 0.75]}
    found = {"kind": "drift", "subject": "pressure", "summary": "moved", "evidence": evidence, "event_time": 29 * DAY}
    check(served, alarms=[found, found])
    (alarm,) = served.ask(messages.ListAlarms(service="pumps"))
    assert alarm.renewal_id == case(served).id
    told = served.ask(messages.Explain(alarm.id)).lines
    assert {"since: 1970-01-26 00:00", "threshold: 4.56", "after: 0.25 0.75"} <= set(told)
    assert case(served).state == "training"
    assert training(served).tags["renewal"] == case(served).id
    model(served, 2)
    assert judge(served, 2, passed=True, run_id=training(served).id)
    assert (case(served).state, champion(served)) == ("canary", "pumps@1")
    service = move(served, requests=0)
    assert {each.state: each.weight for each in service.revisions} == {"live": 90, "canary": 10}
    move(served, requests=50)
    assert champion(served) == "pumps@1"
    service = move(served, requests=500)
    assert [(each.model, each.state, each.weight) for each in service.revisions] == [
        ("pumps@1", "retired", 0),
        ("pumps@2", "live", 100),
    ]
    assert (case(served).state, champion(served)) == ("promoted", "pumps@2")
    assert case(served).closed_at is not None
    assert [step["state"] for step in case(served).steps if step["state"] != "canary"] == [
        "opened", "training", "judged", "promoted"
    ]  # fmt: skip
    end(served, training(served))
    assert case(served).state == "promoted"


def test_a_canary_that_fails_is_rolled_back_and_the_champion_stays(served):
    label(served, 30)
    check(served)
    model(served, 2)
    judge(served, 2, passed=True, run_id=training(served).id)
    move(served, requests=0)
    service = move(served, requests=20, errors=20)
    assert (case(served).state, champion(served)) == ("rolled_back", "pumps@1")
    assert [(each.state, each.weight) for each in service.revisions] == [("live", 100), ("failed", 0)]


def test_a_refused_challenger_closes_the_case_and_changes_nothing(served):
    label(served, 30)
    check(served)
    model(served, 2)
    assert not judge(served, 2, passed=False, run_id=training(served).id)
    assert (case(served).state, champion(served)) == ("refused", "pumps@1")
    assert len(served.ask(messages.GetService(name="pumps")).revisions) == 1


@pytest.mark.parametrize("problem", [None, describe(Failed("RUN-006", "train raised ValueError: no"))])
def test_a_pipeline_that_ends_without_a_promotion_fails_its_case(served, problem):
    label(served, 30)
    check(served)
    end(served, training(served), "failed" if problem else "succeeded", problem=problem)
    assert case(served).state == "failed"
    assert case(served).steps[-1]["evidence"]["problem"]["code"] == ("RUN-006" if problem else "RENEW-005")
    closed = case(served)
    with pytest.raises(Conflict, match="RENEW-001"):
        served.call(lambda turn: cases.move_case(turn, closed, "failed", "canary", {}))


def test_a_champion_that_moved_while_the_gate_ran_refuses_the_verdict(served):
    model(served, 2)
    model(served, 3)
    slow = served.ask(messages.Promote(model="pumps@2", alias="champion", data="recent@1"))
    assert judge(served, 3, passed=True)
    move(served, requests=500)
    assert champion(served) == "pumps@3"
    end(served, slow, details={"passed": True, "summary": "auc +0.1", "evidence": {}})
    verdict = served.ask(messages.GetVerdict(run_id=slow.id))
    assert not verdict
    assert "moved while the gate ran" in verdict.summary
    assert champion(served) == "pumps@3"


def test_labels_are_checked_once_in_order_and_nothing_else_is(served):
    label(served, 30)
    put(served, "outcomes", "later truth", event_time=60 * DAY)
    put(served, "other", "x", event_time=61 * DAY)
    put(served, "outcomes", "a write without times")
    served.call(renewals.follow_labels)
    assert [run.params["until"] for run in served.ask(messages.ListRuns(kind="check"))] == [30 * DAY]
    assert served.ask(messages.GetService(name="pumps")).phase == "checking"
    check(served, renew=False)
    served.call(renewals.follow_labels)
    served.call(renewals.follow_labels)
    assert [run.params["until"] for run in served.ask(messages.ListRuns(kind="check"))] == [60 * DAY, 30 * DAY]
    assert served.ask(messages.ListRenewals()) == []
    check(served, renew=False)
    assert served.ask(messages.GetService(name="pumps")).phase == "steady"


def test_a_cooldown_in_event_time_holds_the_next_renewal_back(desk):
    declare(desk, cooldown_s=20 * DAY)
    model(desk, 1)
    put(desk, "recent", "r1")
    judge(desk, 1, passed=True)
    desk.ask(messages.Deploy(name="pumps", model="pumps@champion", monitor=MONITOR))
    opened = []
    for day in (30, 40, 50):
        label(desk, day)
        check(desk)
        for run in desk.ask(messages.ListRuns(kind="pipeline", state="queued")):
            end(desk, run, "failed", problem=describe(Failed("RUN-006", "no")))
        opened.append(len(desk.ask(messages.ListRenewals())))
    assert opened == [1, 1, 2]


@pytest.mark.parametrize("how", ["paused", "removed"])
@pytest.mark.usefixtures("open_home")
def test_no_renewal_starts_what_is_paused_or_was_applied_by_who_is_gone(desk, how):
    anna = Person(desk, "anna", "approver")
    declare(anna, folder="", python="")  # she may be on another machine
    model(desk, 1)
    put(desk, "recent", "r1")
    judge(desk, 1, passed=True)
    desk.ask(messages.Deploy(name="pumps", model="pumps@champion", monitor=MONITOR))
    label(desk, 30)
    check(desk)
    assert training(desk).tags == {"renewal": case(desk).id, "trigger": "alarm"}
    assert training(desk).principal == "user:anna"
    (standing,) = desk.ask(triggers.GetPipeline(name="train")).triggers
    assert (standing.starts, standing.run_id, standing.event_time) == (1, training(desk).id, 30 * DAY)
    end(desk, training(desk), "failed", problem=describe(Failed("RUN-006", "no")))
    if how == "paused":
        desk.ask(triggers.PausePipeline(name="train"))
    else:
        desk.ask(access.RemoveUser(name="anna"), actor=HOME_USER)
    label(desk, 60)
    check(desk)
    assert desk.ask(messages.ListRuns(kind="pipeline", state="queued")) == []
    assert len(desk.ask(messages.ListRenewals())) == 1
    why = "the pipeline is paused" if how == "paused" else "user:anna, who applied it, was removed"
    assert desk.ask(triggers.GetPipeline(name="train")).why == why
    assert [each.body["why"] for each in desk.ask(messages.ListEvents(kind="renewal.skipped"))] == [why]


def test_a_monitor_that_is_applied_watches_the_services_of_its_labels(served):
    first = Monitor(labels="outcomes", key="id", target="failed", event_time="at")
    served.ask(messages.Apply([first.declaration()]))
    assert served.ask(messages.GetService(name="pumps")).monitor == first.body()
    stricter = Monitor(labels="outcomes", key="id", target="failed", event_time="at", alarms_per_year=1)
    other = Monitor(labels="elsewhere", key="id", target="failed", event_time="at")
    diff = served.ask(messages.Apply([stricter.declaration(), other.declaration()], dry_run=True))
    assert diff.lines()[:2] == ["~ monitor outcomes  (needs editor)", "    alarms_per_year: 2.0 -> 1.0"]
    assert served.ask(messages.GetService(name="pumps")).monitor == first.body()
    served.ask(messages.Apply([stricter.declaration(), other.declaration()]))
    assert served.ask(messages.GetService(name="pumps")).monitor == stricter.body()
    assert [revision.state for revision in served.ask(messages.GetService(name="pumps")).revisions] == ["live"]
    with pytest.raises(Invalid, match=r"MON-005.*without labels="):
        Monitor(event_time="at").declaration()


def test_promoting_again_answers_with_the_same_verdict(served):
    assert judge(served, 1, passed=True).id == judge(served, 1, passed=True).id
    assert served.ask(messages.MoveAlias(kind="model", name="pumps", alias="champion", number=1)).number == 1
    model(served, 2)
    with pytest.raises(Conflict, match="GATE-003"):
        served.ask(messages.MoveAlias(kind="model", name="pumps", alias="champion", number=2))


def test_a_gate_and_a_check_that_failed_are_run_again_when_asked(served):
    model(served, 2)
    again = messages.Promote(model="pumps@2", alias="champion", data="recent@1")
    problem = describe(Failed("RUN-008", "its worker was killed"))
    tried = [end(served, served.ask(again), "failed", problem=problem).id for _ in range(3)]
    assert len(set(tried)) == 3
    with pytest.raises(Failed, match="RUN-008"):
        served.ask(messages.GetVerdict(run_id=tried[-1]))
    assert judge(served, 2, passed=True)
    asked = messages.CheckService(name="pumps", until=3 * DAY)
    first = end(served, served.ask(asked), "failed", problem=problem)
    second = served.ask(asked)
    assert (second.id != first.id, second.state) == (True, "queued")
    assert served.ask(asked).id == second.id


def test_a_roll_back_makes_the_earlier_model_champion_again(served):
    with pytest.raises(Conflict, match="SERVE-040"):
        served.ask(messages.RollbackService(name="pumps"))
    model(served, 2)
    judge(served, 2, passed=True)
    move(served, requests=500)
    assert champion(served) == "pumps@2"
    service = served.ask(messages.RollbackService(name="pumps", reason="complaints"))
    assert champion(served) == "pumps@1"
    assert [(each.model, each.weight) for each in service.revisions if each.state == "live"] == [("pumps@1", 100)]


def test_what_is_not_there_or_not_ready_is_named(served):
    model(served, 2)
    run = served.ask(messages.Promote(model="pumps@2", alias="champion", data="recent@1"))
    with pytest.raises(Conflict, match="GATE-010"):
        served.ask(messages.GetVerdict(run_id=run.id))
    end(served, run, "failed", problem=describe(Invalid("GATE-005", "9 rows have a label")))
    with pytest.raises(Invalid, match="GATE-005"):
        served.ask(messages.GetVerdict(run_id=run.id))
    other = served.ask(messages.BeginRun(kind="step", name="fit")).run
    end(served, other)
    with pytest.raises(NotFound, match="GATE-011"):
        served.ask(messages.GetVerdict(run_id=other.id))
    with pytest.raises(NotFound, match="RENEW-006"):
        served.ask(messages.GetDeclaration(kind="pipeline", name="nothing"))
    served.ask(messages.Deploy(name="bare", model="pumps@1"))
    with pytest.raises(Invalid, match="SERVE-042"):
        served.ask(messages.CheckService(name="bare", until=1.0))


def test_a_trigger_must_say_what_it_waits_for():
    with pytest.raises(Invalid, match="RENEW-004"):
        On("full moon", service="pumps")
    with pytest.raises(Invalid, match="RENEW-004"):
        On("alarm")
    with pytest.raises(Invalid, match="knows no policy='always'"):
        On("alarm", service="pumps", policy="always")
    with pytest.raises(Invalid, match="knows no kind"):
        On("alarm", service="pumps", kind="drift")
    assert On("alarm", service="pumps", cooldown="2d").body()["cooldown_s"] == 2 * DAY


def test_applying_the_same_changes_nothing_and_a_dry_run_never_does(desk):
    assert [mark for mark, *_ in declare(desk).changes] == ["+", "+"]
    assert [mark for mark, *_ in declare(desk).changes] == ["=", "="]
    gate = Declaration("gate", "pumps->champion", {"target": "broken"})
    changed = ("~", "gate", "pumps->champion", "target")
    assert desk.ask(messages.Apply(declarations=[gate], dry_run=True)).changes == [changed]
    assert desk.ask(messages.Apply(declarations=[gate])).changes == [changed]
    assert desk.ask(messages.GetDeclaration(kind="gate", name="pumps->champion")).body == {"target": "broken"}
