"""How status tells goals, what waits and what failed."""

from mainspring.cli.status import describe_aim, find_next
from mainspring.domain import messages, records
from mainspring.domain.glance import Aim
from mainspring.domain.records import Verdict
from mainspring.store.rows import add
from mainspring.store.tables import verdicts


def register(desk, digit, goal):
    details = {"goal": goal} if goal else {}
    version = messages.PutVersion(kind="model", name="delays", digest=digit * 64, manifest={}, details=details)
    return desk.ask(version)


def judge(desk, version, log_loss):
    measured = [{"metric": "log_loss", "challenger": log_loss}]
    evidence = {"better": [{"metric": "auc", "challenger": 0.7}], "not_worse": measured}
    ids = {"id": f"v{version.id[1:]}", "run_id": f"r{version.id[1:]}"}
    told = {"alias": "champion", "champion": None, "data": "rows@1", "passed": True, "summary": ""}
    verdict = Verdict(**ids, model=version.reference, **told, evidence=evidence)
    desk.call(lambda turn: add(turn.connection, verdicts, verdict))


def test_goals_of_champions_are_held_against_what_their_gate_measured(desk):
    goal = {"text": "fewer missed connections", "metric": "log_loss", "owner": "ops", "target": 0.3}
    version = register(desk, "1", goal)
    assert desk.ask(messages.GetStatus()).goals == []
    desk.ask(messages.MoveAlias(kind="model", name="delays", alias="champion", number=1))
    (aim,) = desk.ask(messages.GetStatus()).goals
    assert (aim.model, aim.metric, aim.target, aim.value, aim.met) == ("delays@1", "log_loss", 0.3, None, None)
    assert describe_aim(aim) == "delays@1  log_loss not measured by its gate (target 0.3)"
    judge(desk, version, 0.284)
    (aim,) = desk.ask(messages.GetStatus()).goals
    assert (aim.value, aim.met) == (0.284, True)
    worse = register(desk, "2", goal)
    judge(desk, worse, 0.35)
    desk.ask(messages.MoveAlias(kind="model", name="delays", alias="champion", number=2))
    status = desk.ask(messages.GetStatus())
    assert status.goals == [Aim("delays@2", "fewer missed connections", "log_loss", 0.3, 0.35, met=False)]
    desk.ask(messages.BeginRun(kind="step", name="x"))
    assert find_next(desk.ask(messages.GetStatus())) == "mainspring why delays@2"


def test_what_waits_longest_and_the_newest_failure_are_named(desk):
    assert desk.ask(messages.GetStatus()).waits is None
    spec = messages.RunSpec(kind="step", name="fit", call=records.Call(payload="0" * 64))
    first, _ = desk.ask(messages.SubmitRuns([spec, spec]))
    assert desk.ask(messages.GetStatus()).waits.run_id == first.id
    begun = desk.ask(messages.BeginRun(kind="step", name="torn")).run
    desk.ask(messages.FinishRun(run_id=begun.id, attempt=1, fence=begun.fence, state="failed"))
    status = desk.ask(messages.GetStatus())
    assert status.failed == begun.id
    assert find_next(status) == f"mainspring why {begun.id[-6:]}"
