"""Applied pipelines in the record: what starts them, in whose name, once, and why they did not start."""

import msgspec
import pytest
from tests.support.access import HOME_USER, Person

from mainspring.control import triggers as loops
from mainspring.control.finishing import end_run
from mainspring.control.standings import note_renewal
from mainspring.domain import access, messages, triggers
from mainspring.domain.errors import Conflict, Denied, Failed, Invalid, NotFound
from mainspring.domain.records import Declaration
from mainspring.domain.wire import describe
from mainspring.pipelines.differences import compare
from mainspring.store import runs

HOUR, DAY = 3600.0, 86_400.0
SNAPSHOT = {"files": {"flow.py": "a" * 64}, "entry": "flow:train", "python": "python3", "preload": []}


def on(event, cooldown_s=None, **match):
    return {"event": event, "match": match, "cooldown_s": cooldown_s, "policy": "regret"}


def cron(expression, tz="UTC"):
    return on("time", expression=expression, tz=tz)


def declare(*wanted, name="train", folder="/work", **snapshot):
    body = {"triggers": list(wanted), "snapshot": {**SNAPSHOT, "files": {}, **snapshot}, "folder": folder}
    return Declaration("pipeline", name, body)


FROM_ELSEWHERE = {"folder": "", "python": ""}
"""What a pipeline names that was applied from another machine."""


def declare_in(source, name):
    return msgspec.structs.replace(declare(name=name), source=source)


def apply(desk, *declarations, **options):
    return desk.ask(messages.Apply(declarations=list(declarations), **options))


def write(desk, name="orders", **options):
    desk.number = getattr(desk, "number", 0) + 1
    put = messages.PutVersion(kind="dataset", name=name, digest=f"d{desk.number}", manifest={"table": name}, **options)
    return desk.ask(put)


def look(desk):
    desk.call(loops.follow_triggers)


def started(desk, name="train"):
    """Return the runs of a pipeline, oldest first."""
    return desk.ask(messages.ListRuns(kind="pipeline", name=name))[::-1]


def end(desk, run, state="succeeded", **result):
    def close(turn):
        runs.change_run(turn.connection, runs.get_run(turn.connection, run.id), state="running")
        end_run(turn, runs.get_run(turn.connection, run.id), state, **result)

    desk.call(close)


def show(desk, name="train"):
    return desk.ask(triggers.GetPipeline(name=name))


def refused(desk):
    return [each.body["why"] for each in desk.ask(messages.ListEvents(kind="trigger.refused"))]


def test_a_new_version_starts_the_snapshot_and_says_of_what(desk):
    write(desk)
    apply(desk, declare(on("data", dataset="orders")))
    look(desk)
    assert started(desk) == [], "what was there before starts nothing"
    version = write(desk, event_time=12.0)
    write(desk, "weather")
    look(desk)
    look(desk)
    (run,) = started(desk)
    assert (run.state, run.tags) == ("queued", {"trigger": "data"})
    assert run.params == {"trigger": "On data(dataset=orders)", "event": version.reference, "event_time": 12.0}
    told = desk.ask(messages.Explain(thing=run.id)).lines
    assert "started by On data(dataset=orders): orders@2, in the name of owner" in told
    assert show(desk).last.id == run.id
    told = desk.ask(messages.Explain(thing="train")).lines
    assert told[:2] == [
        "pipeline train, applied by owner",
        "On data(dataset=orders): 1 starts, 0 shared one, 0 started nothing",
    ]


def test_a_schedule_starts_on_time_and_once_for_all_that_was_missed(desk):
    desk.clock.time = 1_800_000_000.0  # 2027-01-15 08:00 UTC
    apply(desk, declare(cron("0 6 * * *", "Europe/Berlin")))
    first = 1_800_000_000.0 + 21 * HOUR
    assert show(desk).next_at == first
    desk.clock.advance(20 * HOUR)
    look(desk)
    assert started(desk) == []
    desk.clock.advance(5 * DAY)
    look(desk)
    look(desk)
    (run,) = started(desk)
    assert run.params["event_time"] == first
    assert show(desk).next_at > desk.clock.now()
    end(desk, run)
    desk.clock.advance(DAY)
    look(desk)
    assert len(started(desk)) == 2


def test_a_clock_that_ran_ahead_does_not_keep_a_schedule_waiting(desk):
    apply(desk, declare(cron("@daily")))
    desk.clock.time += 3650 * DAY
    look(desk)
    (run,) = started(desk)
    end(desk, run)
    desk.clock.time -= 3650 * DAY
    desk.call(loops.mend_schedules)
    assert 0 < show(desk).next_at - desk.clock.now() <= DAY
    desk.clock.advance(DAY)
    look(desk)
    look(desk)
    assert len(started(desk)) == 2


def test_a_storm_of_a_thousand_events_is_two_starts(desk):
    apply(desk, declare(on("data", dataset="orders")))
    for number in range(1000):
        write(desk)
        if number % 100 == 0:
            look(desk)
    look(desk)
    (run,) = started(desk)
    (standing,) = show(desk).triggers
    assert (standing.starts, standing.waiting, standing.coalesced) == (1, 999, 0)
    assert "its run before goes on" in show(desk).why
    end(desk, run)
    look(desk)
    assert [each.params["event"] for each in started(desk)] == ["orders@1", "orders@1000"]
    (standing,) = show(desk).triggers
    assert (standing.starts, standing.waiting, standing.coalesced, standing.passed) == (2, 0, 998, 0)


def test_what_comes_within_a_cooldown_starts_once_when_it_ends(desk):
    apply(desk, declare(on("data", cooldown_s=DAY, dataset="orders")))
    write(desk)
    look(desk)
    end(desk, started(desk)[0])
    for _ in range(3):
        desk.clock.advance(HOUR)
        write(desk)
        look(desk)
    assert len(started(desk)) == 1
    (standing,) = show(desk).triggers
    assert (standing.waiting, standing.passed) == (3, 0)
    assert show(desk).why == "its cooldown lasts; what comes meanwhile starts it once"
    held = []
    desk.call(lambda turn: held.append(loops.hold_for_triggers(turn)))
    assert "or does when its cooldown ends" in held[0], "the owner stays for it"
    desk.clock.advance(21 * HOUR)
    look(desk)
    look(desk)
    assert [run.params["event"] for run in started(desk)] == ["orders@1", "orders@4"]
    (standing,) = show(desk).triggers
    assert (standing.starts, standing.coalesced, standing.waiting) == (2, 2, 0)


def test_a_run_that_an_alarm_started_keeps_the_others_waiting(desk):
    apply(desk, declare(on("alarm", service="pumps"), on("data", dataset="orders")))
    renewal = desk.ask(messages.BeginRun(kind="pipeline", name="train")).run
    desk.call(lambda turn: note_renewal(turn, "train", "pumps", renewal.id, 0.0))
    write(desk)
    look(desk)
    assert [run.id for run in started(desk)] == [renewal.id]
    assert "its run before goes on" in show(desk).why
    desk.ask(messages.FinishRun(run_id=renewal.id, attempt=1, fence=renewal.fence, state="succeeded"))
    look(desk)
    assert [run.tags for run in started(desk)[1:]] == [{"trigger": "data"}]


def test_files_that_another_machine_has_seen_are_looked_at_anew(desk):
    paths = ("/data/in.csv", "s3://bucket/in.csv")
    wanted = [on("file", path=path) for path in paths]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSPRING_BUCKETS", "s3://bucket")
        apply(desk, declare(*wanted))
        desk.call(lambda turn: turn.connection.exec_driver_sql("UPDATE triggers SET node = 'other', seen = '\"a\"'"))
        apply(desk, declare(*wanted, entry="flow:changed"))
    seen = {each.match["path"]: each.seen for each in show(desk).triggers}
    assert seen == {"/data/in.csv": None, "s3://bucket/in.csv": "a"}


def test_what_a_run_of_its_own_writes_starts_it_no_more(desk):
    apply(desk, declare(on("data", dataset="orders")), declare(on("data", dataset="report"), name="tell"))
    write(desk)
    look(desk)
    (first,) = started(desk)
    step = desk.ask(messages.BeginRun(kind="step", name="clean", parent_id=first.id)).run
    write(desk, run_id=step.id)
    write(desk, "report", run_id=step.id)
    end(desk, first)
    look(desk)
    assert len(started(desk)) == 1
    assert refused(desk) == ["orders@2 comes from a run of its own (train -> train): it would go on for ever"]
    (second,) = started(desk, "tell")
    write(desk, run_id=second.id)
    end(desk, second)
    look(desk)
    assert len(started(desk)) == 1, "nor does what a pipeline writes that it has started"
    assert "train -> tell -> train" in refused(desk)[-1]
    write(desk)
    look(desk)
    assert len(started(desk)) == 2, "what others write does"


def test_a_promotion_and_a_failure_start_what_waits_for_them(desk):
    wait = on("model.promoted", model="delays", alias="champion"), on("run.failed", name="nightly")
    apply(desk, declare(*wait), declare(on("model.promoted", model="delays"), name="any"))
    training = desk.ask(messages.BeginRun(kind="pipeline", name="any")).run
    for digest, run_id in (("m1", None), ("m2", training.id)):
        desk.ask(messages.PutVersion(kind="model", name="delays", digest=digest, manifest={}, run_id=run_id))
    write(desk, "delays")
    desk.ask(messages.MoveAlias(kind="dataset", name="delays", alias="champion", number=1))
    look(desk)
    assert started(desk) == []
    desk.ask(messages.MoveAlias(kind="model", name="delays", alias="champion", number=1))
    look(desk)
    assert [each.params["event"] for each in started(desk)] == ["delays@champion"]
    assert len(started(desk, "any")) == 2
    desk.ask(messages.MoveAlias(kind="model", name="delays", alias="champion", number=2))
    end(
        desk,
        desk.ask(messages.BeginRun(kind="step", name="nightly")).run,
        "failed",
        problem=describe(Failed("RUN-006", "no")),
    )
    end(desk, started(desk)[0])
    look(desk)
    assert len(started(desk)) == 2
    assert "comes from a run of its own" in show(desk, "any").why, "it made that model, whoever moved the alias"


def test_a_pause_passes_over_what_happens_and_a_start_by_hand_does_not_care(desk):
    apply(desk, declare(on("data", dataset="orders"), cron("@hourly")))
    paused = desk.ask(triggers.PausePipeline(name="train"))
    assert (paused.paused_by, paused.next_at) == ("owner", None)
    write(desk)
    desk.clock.advance(3 * HOUR)
    look(desk)
    assert started(desk) == []
    assert show(desk).why == "the pipeline is paused"
    assert desk.ask(triggers.PausePipeline(name="train")).paused_at == paused.paused_at
    run = desk.ask(triggers.StartPipeline(name="train"))
    assert run.tags == {"trigger": "start"}
    write(desk)
    resumed = desk.ask(triggers.ResumePipeline(name="train"))
    assert resumed.next_at > desk.clock.now()
    look(desk)
    assert started(desk) == [run]
    write(desk)
    look(desk)
    assert len(started(desk)) == 2


@pytest.mark.usefixtures("open_home")
@pytest.mark.parametrize("how", ["removed", "no role", "made anew"])
def test_who_lost_the_right_starts_nothing_and_an_event_says_so(desk, how):
    anna = Person(desk, "anna", "editor")
    anna.ask(messages.Apply(declarations=[declare(on("data", dataset="orders"), **FROM_ELSEWHERE)]))
    write(desk)
    look(desk)
    (run,) = started(desk)
    assert run.principal == "user:anna"
    end(desk, run)
    if how == "no role":
        desk.ask(access.GrantRole(name="anna", role="runner"), actor=HOME_USER)
    else:
        desk.ask(access.RemoveUser(name="anna"), actor=HOME_USER)
    if how == "made anew":
        Person(desk, "anna", "editor")
    for _ in range(3):
        write(desk)
        look(desk)
    assert started(desk) == [each for each in started(desk) if each.id == run.id]
    assert len(refused(desk)) == 1, "the same again is no news"
    assert "user:anna" in show(desk).why
    assert show(desk).triggers[0].passed == 3
    ben = Person(desk, "ben", "editor")
    diff = ben.ask(messages.Apply(declarations=[declare(on("data", dataset="orders"), **FROM_ELSEWHERE)]))
    assert diff.lines()[1:] == ["    principal: user:anna -> user:ben"]
    write(desk)
    look(desk)
    assert started(desk)[-1].principal == "user:ben"


@pytest.mark.usefixtures("open_home")
def test_a_viewer_and_a_narrow_token_apply_nothing(desk):
    with pytest.raises(Denied, match="AUTH-005"):
        Person(desk, "carl", "runner").ask(messages.Apply(declarations=[declare()]))
    with pytest.raises(Denied, match="AUTH-006"):
        Person(desk, "dora", "editor", scopes=("declarations",)).ask(
            messages.Apply(declarations=[declare(on("data", dataset="orders"), **FROM_ELSEWHERE)])
        )


def test_of_two_applies_at_once_the_second_is_told(desk):
    apply(desk, declare(cron("@daily")))
    mine, theirs = declare(cron("@hourly")), declare(cron("@weekly"))
    looked = [apply(desk, each, dry_run=True) for each in (mine, theirs)]
    apply(desk, mine, base=looked[0].base)
    with pytest.raises(Conflict, match=r"TRIGGER-004.*pipeline train was applied by owner after this difference"):
        apply(desk, theirs, declare(name="other"), base=looked[1].base)
    assert show(desk).triggers[0].match["expression"] == "@hourly"
    with pytest.raises(NotFound, match="TRIGGER-005"):
        show(desk, "other")
    assert apply(desk, mine, base=looked[1].base).changes == [("=", "pipeline", "train", "")]
    assert apply(desk, theirs, base=apply(desk, theirs, dry_run=True).base).changes[0][0] == "~"


def test_a_difference_is_told_field_by_field(desk):
    first = apply(desk, declare(cron("0 6 * * *")))
    assert first.lines() == [
        "+ pipeline train  (needs editor)",
        "    folder: /work",
        "    entry: flow:train",
        "    python: python3",
        "    triggers: Cron 0 6 * * * UTC",
    ]
    changed = declare(on("alarm", 14 * DAY, service="delays"), cron("0 7 * * *"), python="python3.12")
    assert apply(desk, changed).lines() == [
        "~ pipeline train  (needs editor)",
        "    python: python3 -> python3.12",
        "    triggers: Cron 0 6 * * * UTC -> On alarm(service=delays) cooldown 2w, Cron 0 7 * * * UTC",
    ]
    gate = Declaration("gate", "delays->champion", {"alpha": 0.05, "slices": []})
    apply(desk, gate)
    stricter = Declaration("gate", "delays->champion", {"alpha": 0.01, "slices": ["carrier"]})
    assert apply(desk, stricter, dry_run=True).lines() == [
        "~ gate delays->champion  (needs approver)",
        "    alpha: 0.05 -> 0.01",
        '    slices: [] -> ["carrier"]',
    ]


def test_what_vanished_from_its_file_is_pruned_when_asked(desk):
    train, old = declare_in("flow", "train"), declare_in("flow", "old")
    gate = Declaration("gate", "delays->champion", {"alpha": 0.05}, "flow")
    view = Declaration("view", "recent", {"source": "orders"}, "flow")
    other = Declaration("view", "elsewhere", {"source": "orders"}, "other")
    apply(desk, train, old, gate, view, other, files=["flow", "other"])
    wanted = [
        "= pipeline train",
        "- pipeline old  (needs editor)  its file declares it no longer",
        "! gate delays->champion  its file declares it no longer; it stays: mainspring gates remove delays champion",
        "- view recent  (needs editor)  its file declares it no longer",
    ]
    looked = apply(desk, train, files=["flow"], prune=True, dry_run=True)
    assert looked.lines() == wanted
    assert desk.ask(messages.GetDeclaration("view", "recent")).name == "recent"
    apply(desk, Declaration("view", "recent", {"source": "bills"}, "flow"))
    with pytest.raises(Conflict) as caught:
        apply(desk, train, files=["flow"], prune=True, base=looked.base)
    assert caught.value.code == "TRIGGER-004"
    assert [each.name for each in desk.ask(triggers.ListPipelines())] == ["old", "train"], "all or none"
    assert apply(desk, train, files=["flow"], prune=True).lines() == wanted
    assert [each.name for each in desk.ask(triggers.ListPipelines())] == ["train"]
    for kind, name, stays in (("view", "recent", False), ("view", "elsewhere", True), ("gate", gate.name, True)):
        if stays:
            assert desk.ask(messages.GetDeclaration(kind, name)).name == name
        else:
            with pytest.raises(NotFound):
                desk.ask(messages.GetDeclaration(kind, name))
    assert apply(desk, train, files=["flow"], prune=True).lines() == [wanted[0], wanted[2]]


def test_what_vanished_from_its_file_stays_and_is_told(desk):
    train, old, other = declare_in("flow", "train"), declare_in("flow", "old"), declare_in("other", "elsewhere")
    gate = Declaration("gate", "delays->champion", {"alpha": 0.05}, "flow")
    view = Declaration("view", "recent", {"source": "orders"}, "flow")
    apply(desk, train, old, other, gate, view, files=["flow", "other"])
    told = apply(desk, train, files=["flow"]).lines()
    assert told == [
        "= pipeline train",
        "! pipeline old  its file declares it no longer; it stays: mainspring apply FILE --prune",
        "! gate delays->champion  its file declares it no longer; it stays: mainspring gates remove delays champion",
        "! view recent  its file declares it no longer; it stays: mainspring apply FILE --prune",
    ]
    assert desk.ask(triggers.RemovePipeline(name="old")).name == "old"
    assert [each.name for each in desk.ask(triggers.ListPipelines())] == ["elsewhere", "train"]
    assert apply(desk, train, gate, view, files=["flow"]).lines() == [
        "= pipeline train",
        "= gate delays->champion",
        "= view recent",
    ]


def test_what_moves_to_another_file_is_missed_in_the_first_one_no_more(desk):
    apply(desk, declare_in("flow", "train"), declare_in("flow", "report"), files=["flow"])
    (moved,) = apply(desk, declare_in("other", "report"), files=["other"], dry_run=True).moved
    assert moved == "pipeline report"
    assert apply(desk, declare_in("flow", "train"), files=["flow"]).changes[1][0] == "!", "it was only tried"
    told = apply(desk, declare_in("other", "report"), files=["other"])
    assert (told.changes, told.moved) == ([("=", "pipeline", "report", "")], ["pipeline report"])
    assert apply(desk, declare_in("flow", "train"), files=["flow"]).changes == [("=", "pipeline", "train", "")]
    apply(desk, declare(on("data", dataset="orders"), name="report"))  # by a script, which names no file
    assert apply(desk, files=["other"]).changes[0][:3] == ("!", "pipeline", "report")


def test_triggers_that_stay_keep_what_they_have_seen(desk):
    apply(desk, declare(on("data", dataset="orders")))
    write(desk)
    look(desk)
    apply(desk, declare(on("data", DAY, dataset="orders"), on("data", dataset="weather")))
    first, second = show(desk).triggers
    assert (first.starts, first.cooldown_s, second.starts) == (1, DAY, 0)
    apply(desk, declare(on("data", dataset="weather")))
    assert [each.id for each in show(desk).triggers] == [second.id]


def test_what_no_owner_can_act_on_is_refused(desk):
    for wrong, code in (
        ([cron("0 0 30 2 *")], "TRIGGER-002"),
        ([cron("* * * *")], "TRIGGER-001"),
        ([cron("@daily", "Mars/Phobos")], "TRIGGER-003"),
        ([on("full moon")], "RENEW-004"),
        ([on("data")], "RENEW-004"),
        ([on("data", dataset="a", rows="5")], "RENEW-004"),
        ([cron("@daily"), cron("@daily")], "RENEW-004"),
    ):
        with pytest.raises(Invalid, match=code):
            apply(desk, declare(*wrong))
    for command in (triggers.StartPipeline, triggers.PausePipeline, triggers.ResumePipeline, triggers.RemovePipeline):
        with pytest.raises(NotFound, match="TRIGGER-005"):
            desk.ask(command(name="nothing"))
    apply(desk, declare())
    with pytest.raises(NotFound) as caught:
        show(desk, "trian")
    assert caught.value.fix == "did you mean train?"


def test_an_owner_stays_for_schedules_and_not_for_events(desk):
    def held():
        found = []
        desk.call(lambda turn: found.append(loops.hold_for_triggers(turn)))
        return found[0]

    apply(desk, declare(on("data", dataset="orders")))
    assert held() is None
    apply(desk, declare(cron("@yearly")))
    assert held() == "Cron @yearly UTC starts train"
    desk.ask(triggers.PausePipeline(name="train"))
    assert held() is None


def test_a_difference_of_code_names_files_and_lock():
    old = {"snapshot": {"files": {f"m{n}.py": "a" for n in range(9)} | {"gone.py": "a"}, "lock": "1" * 64}}
    new = {"snapshot": {"files": {f"m{n}.py": "b" for n in range(9)} | {"new.py": "a"}, "lock": "2" * 64}}
    told = {each.field: (each.before, each.after) for each in compare("pipeline", "train", old, new)}
    names = "m0.py, m1.py, m2.py, m3.py, m4.py and 4 more"
    assert told == {
        "code": ("", f"9 changed files ({names}), 1 new file (new.py), 1 gone file (gone.py)"),
        "lock": ("1" * 12, "2" * 12),
    }
    assert compare("pipeline", "train", new, new) == []
