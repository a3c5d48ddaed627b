"""Registered models, what is noted on them, and the gates that hold their aliases, at every use case that moves one."""

import pytest
from tests.support.access import HOME_USER, Person

from mainspring.control.declarations import digest_body
from mainspring.domain import access, gates, lineage, messages, records, registry, upkeep
from mainspring.domain import files as files_
from mainspring.domain.errors import Conflict, Denied, Invalid, MainspringError, NotFound
from mainspring.store.rows import add
from mainspring.store.tables import verdicts

RULES = {"target": "late", "better": ["auc"], "min_rows": 100}


def put(desk, digest, name="delays", **options):
    return desk.ask(messages.PutVersion(kind="model", name=name, digest=digest, manifest={}, **options))


def move(desk, number, alias="champion", **options):
    return desk.ask(messages.MoveAlias(kind="model", name="delays", alias=alias, number=number, **options))


def guard(desk, alias="champion", **changes):
    gate = records.Declaration("gate", f"delays->{alias}", RULES | changes)
    desk.ask(messages.Apply(declarations=[gate]))
    return digest_body(gate.body)


def judge(desk, number, rules, *, passed=True, alias="champion"):
    """Leave the verdict of a gate that ran."""

    def write(turn):
        verdict = records.Verdict(
            turn.new_id(), turn.new_id(), f"delays@{number}", alias, None, "rows@1", passed, "auc +0.1", {}, rules=rules
        )
        add(turn.connection, verdicts, verdict)

    desk.call(write)


def refuse(call, kind, code):
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.code == code
    return caught.value


def rule_of(desk):
    return desk.ask(messages.ListEvents(kind="alias"))[-1].body["rule"]


def test_without_a_gate_an_alias_moves_freely_and_the_event_says_so(desk):
    put(desk, "m1")
    assert move(desk, 1).aliases == ("champion",)
    assert rule_of(desk) == "ungated"


def test_a_gate_lets_through_exactly_what_it_judged(desk):
    for digest in ("m1", "m2", "m3"):
        put(desk, digest)
    move(desk, 1)
    rules = guard(desk)
    judge(desk, 2, rules, passed=False)
    judge(desk, 3, rules, alias="other")
    judge(desk, 3, "")  # let through when nothing was declared
    judge(desk, 3, digest_body(RULES | {"min_rows": 1}))  # by a gate that is no longer in force
    for number in (2, 3):
        problem = refuse(lambda at=number: move(desk, at), Conflict, "GATE-003")
        assert problem.fix == f"mainspring promote delays@{number} champion --data DATASET"
    judge(desk, 3, rules)
    assert move(desk, 3).aliases == ("champion",)
    assert rule_of(desk).startswith("verdict ")
    guard(desk, min_rows=200)
    refuse(lambda: move(desk, 2), Conflict, "GATE-003")
    assert move(desk, 3).number == 3, "it holds the alias"


def test_a_gated_alias_is_not_taken_away_either(desk):
    put(desk, "m1")
    move(desk, 1)
    move(desk, 1, "other")
    guard(desk)
    refuse(lambda: desk.ask(registry.DropAlias(name="delays", alias="champion")), Conflict, "GATE-003")
    assert desk.ask(registry.DropAlias(name="delays", alias="other")).aliases == {"champion": 1}
    assert desk.ask(registry.DropAlias(name="delays", alias="none")).aliases == {"champion": 1}
    forced = registry.DropAlias(name="delays", alias="champion", force=True, reason="the last one was wrong")
    assert desk.ask(forced).aliases == {}
    assert desk.ask(messages.ListEvents(kind="alias.dropped"))[-1].body["before"] == 1


def test_a_gate_of_a_stage_binds_the_stage(desk):
    put(desk, "m1")
    put(desk, "m2")

    def stage(number, name, **options):
        return desk.ask(registry.StageVersion(name="delays", number=number, stage=name, **options))

    assert stage(1, "Production").stage == "Production"
    rules = guard(desk, "Production")
    refuse(lambda: stage(2, "Production"), Conflict, "GATE-003")
    assert stage(2, "Staging").stage == "Staging"
    judge(desk, 2, rules, alias="Production")
    assert stage(2, "Production", archive=True).stage == "Production"
    found = desk.ask(messages.ListVersions(kind="model", name="delays"))
    assert [each.stage for each in found] == ["Production", "Archived"]


def test_forcing_takes_an_approver_and_a_reason_and_is_audited(desk):
    put(desk, "m1")
    guard(desk)
    editor, approver = Person(desk, "e", "editor"), Person(desk, "a", "approver")
    command = messages.MoveAlias(kind="model", name="delays", alias="champion", number=1, force=True, reason="outage")
    refuse(lambda: editor.ask(command), Denied, "AUTH-005")
    refuse(lambda: move(desk, 1, force=True, reason=" "), Invalid, "GATE-008")
    assert approver.ask(command).aliases == ("champion",)
    assert rule_of(desk) == "forced"

    entries = [each for each in desk.ask(access.ListAudit(), actor=HOME_USER) if each.action.startswith("aliases")]
    assert [each.action for each in entries] == ["aliases.force", "aliases.move"]
    assert all("outage" in str(each) for each in entries)


def test_only_an_approver_removes_a_gate_and_says_why(desk):
    put(desk, "m1")
    rules = guard(desk)
    (gate,) = desk.ask(gates.ListGates())
    assert (gate.model, gate.alias, gate.body, gate.rules) == ("delays", "champion", RULES, rules)
    assert desk.ask(gates.GetGate(model="delays", alias="champion")) == gate
    editor = Person(desk, "e", "editor")
    remove = gates.RemoveGate(model="delays", alias="champion", reason="another task")
    refuse(lambda: editor.ask(remove), Denied, "AUTH-005")
    refuse(lambda: desk.ask(gates.RemoveGate(model="delays", alias="champion")), Invalid, "GATE-008")
    changed = records.Declaration("gate", "delays->champion", RULES | {"min_rows": 1})
    refuse(lambda: editor.ask(messages.Apply(declarations=[changed])), Denied, "AUTH-005")
    desk.ask(remove)
    assert desk.ask(gates.ListGates()) == []
    assert move(desk, 1).aliases == ("champion",)
    assert "mainspring gates" in refuse(lambda: desk.ask(remove), NotFound, "RENEW-006").fix


def test_a_roll_back_is_no_way_around_a_gate(desk):
    """A revision that was pinned never held the alias."""
    put(desk, "m1")
    put(desk, "m2")
    move(desk, 1)
    guard(desk)
    desk.ask(messages.Deploy(name="web", model="delays@2"))
    desk.ask(messages.Deploy(name="web", model="delays@champion", rollout="direct"))
    before = desk.ask(messages.GetService(name="web"))
    refuse(lambda: desk.ask(messages.RollbackService(name="web")), Conflict, "GATE-003")
    assert desk.ask(messages.GetService(name="web")) == before
    assert desk.ask(messages.GetVersion(kind="model", reference="delays@champion")).number == 1


def test_a_gate_goes_with_the_name(desk):
    put(desk, "m1", description="the first", tags={"team": "sky"})
    put(desk, "m2")
    move(desk, 1)
    rules = guard(desk)
    judge(desk, 2, rules)
    desk.ask(registry.RenameModel(name="delays", to="late_flights"))
    refuse(lambda: desk.ask(messages.GetVersion(kind="model", reference="delays")), NotFound, "MODEL-001")
    named = {"kind": "model", "name": "late_flights", "alias": "champion"}
    renamed = desk.ask(registry.GetModel(name="late_flights"))
    assert (renamed.aliases, renamed.latest.number) == ({"champion": 1}, 2)
    put(desk, "m3", "late_flights")
    refuse(lambda: desk.ask(messages.MoveAlias(**named, number=3)), Conflict, "GATE-003")
    assert desk.ask(messages.MoveAlias(**named, number=2)).number == 2
    put(desk, "x", "delays")
    refuse(lambda: desk.ask(registry.RenameModel(name="late_flights", to="delays")), Conflict, "MODEL-050")
    refuse(lambda: desk.ask(registry.RenameModel(name="late_flights", to="a%b")), Invalid, "DATA-001")
    assert desk.ask(registry.RenameModel(name="delays", to="delays")).name == "delays"


def test_a_name_is_kept_while_a_service_goes_by_it(desk):
    put(desk, "m1")
    desk.ask(messages.Deploy(name="web", model="delays@1"))
    problem = refuse(lambda: desk.ask(registry.RenameModel(name="delays", to="late")), Conflict, "KEEP-002")
    assert problem.fix == "mainspring services stop web"
    desk.ask(messages.StopService(name="web"))
    assert desk.ask(registry.RenameModel(name="delays", to="late")).name == "late"


def test_a_model_is_there_before_its_versions(desk):
    made = desk.ask(registry.RegisterModel(name="delays", description="arrivals", tags={"team": "sky"}))
    assert (made.latest, made.aliases) == (None, {})
    refuse(lambda: desk.ask(registry.RegisterModel(name="delays")), Conflict, "MODEL-050")
    desk.clock.advance(60.0)
    put(desk, "m1")
    model = desk.ask(registry.GetModel(name="delays"))
    assert (model.description, model.tags, model.latest.number) == ("arrivals", {"team": "sky"}, 1)
    assert model.changed_at == model.created_at + 60.0
    assert [each.name for each in desk.ask(registry.ListModels())] == ["delays"]


def test_notes_are_kept_on_names_and_on_versions(desk):
    put(desk, "m1")
    version = put(desk, "m2", description="quick", tags={"a": "1", "b": "2"})
    assert (version.description, version.tags, version.changed_at) == ("quick", {"a": "1", "b": "2"}, None)
    desk.ask(registry.DescribeModel(name="delays", number=2, tags={"b": "3"}, untag=["a", "none"]))
    desk.ask(registry.DescribeModel(name="delays", description="arrivals"))
    changed = desk.ask(messages.GetVersion(kind="model", reference="delays@2"))
    assert (changed.description, changed.tags) == ("quick", {"b": "3"})
    assert changed.changed_at is not None
    assert desk.ask(registry.GetModel(name="delays")).description == "arrivals"
    refuse(lambda: desk.ask(registry.DescribeModel(name="delays", number=9)), NotFound, "MODEL-001")
    refuse(lambda: desk.ask(registry.DescribeModel(name="none")), NotFound, "MODEL-001")
    long = ({"description": "x" * 5001}, {"tags": {"x" * 251: ""}}, {"tags": {"x": "y" * 100_001}})
    for wrong in (*long, {"tags": {"": "x"}}):
        refuse(lambda notes=wrong: desk.ask(registry.DescribeModel(name="delays", **notes)), Invalid, "MODEL-051")


def test_equal_content_is_one_more_version_only_when_asked_so(desk):
    first = put(desk, "m1")
    assert put(desk, "m1") == first
    second = put(desk, "m1", more=True)
    assert (second.number, second.digest) == (2, "m1")
    assert put(desk, "m1") == first
    desk.ask(upkeep.DeleteVersions(kind="model", reference="delays@1"))
    assert put(desk, "m1") == second, "what is there answers, not what was deleted"


def test_a_model_is_hidden_with_its_versions_restored_and_purged(desk):
    put(desk, "m1", description="first")
    desk.ask(registry.DescribeModel(name="delays", description="arrivals"))
    desk.ask(registry.RegisterModel(name="empty", description="nothing yet"))
    for name in ("delays", "empty"):
        desk.ask(upkeep.DeleteVersions(kind="model", reference=name, all=True))
        refuse(lambda at=name: desk.ask(registry.GetModel(name=at)), NotFound, "MODEL-001")
    assert desk.ask(registry.ListModels()) == []
    told = [each.reference for each in desk.ask(upkeep.ListDeleted(kind="model"))]
    assert sorted(told) == ["delays", "delays@1", "empty"]
    desk.ask(upkeep.RestoreVersions(kind="model", reference="delays", all=True))
    desk.ask(upkeep.RestoreVersions(kind="model", reference="empty", all=True))
    assert desk.ask(registry.GetModel(name="delays")).description == "arrivals"
    assert desk.ask(registry.GetModel(name="empty")).description == "nothing yet"
    desk.ask(upkeep.DeleteVersions(kind="model", reference="empty", all=True))
    desk.clock.advance(60.0)
    desk.ask(upkeep.PurgeDeleted(before=desk.clock.now()), actor=HOME_USER)
    assert desk.ask(upkeep.ListDeleted(kind="model")) == []
    assert desk.ask(registry.RegisterModel(name="empty")).description == ""


def test_a_deleted_name_is_taken_again_with_new_notes(desk):
    desk.ask(registry.RegisterModel(name="delays", description="old", tags={"a": "1"}))
    desk.ask(upkeep.DeleteVersions(kind="model", reference="delays", all=True))
    made = desk.ask(registry.RegisterModel(name="delays", description="new"))
    assert (made.description, made.tags) == ("new", {})


def log(desk, files, run=None):
    """Have a run with files, as a client that logs artifacts leaves it."""
    run = run or desk.ask(messages.BeginRun(kind="script", name="fit")).run
    told = [files_.File(path, desk.blobs.put(content), len(content)) for path, content in files.items()]
    desk.ask(files_.PutFiles(run_id=run.id, files=told))
    return run


def test_what_was_logged_becomes_a_version_as_it_is_now(desk):
    rows = desk.ask(messages.PutVersion(kind="dataset", name="rows", digest="d", manifest={"table": "rows"}))
    run = log(desk, {"model/MLmodel": b"flavors: {}", "model/data/model.skops": b"weights", "notes.txt": b"no"})
    desk.ask(messages.GetVersion(kind="dataset", reference="rows@1", run_id=run.id))
    desk.ask(registry.RegisterModel(name="delays"))
    source = f"runs:/{run.id}/model"
    first = desk.ask(registry.AddVersion(name="delays", source=source, run_id=run.id, description="a", tags={"b": "c"}))
    assert sorted(first.manifest) == ["MLmodel", "data/model.skops"]
    assert (first.number, first.run_id, first.inputs) == (1, run.id, (rows.id,))
    assert (first.description, first.tags) == ("a", {"b": "c"})
    assert first.details["trained_on"] == ["rows@1"], "so that no gate judges on what training saw"
    log(desk, {"model/MLmodel": b"changed"}, run)
    assert desk.ask(messages.GetVersion(kind="model", reference="delays@1")).manifest == first.manifest
    again = desk.ask(registry.AddVersion(name="delays", source="models:/delays/1"))
    assert (again.number, again.digest) == (2, first.digest)
    changed = desk.ask(registry.AddVersion(name="delays", source=f"mlflow-artifacts:/0/{run.id}/artifacts/model"))
    assert changed.digest != first.digest


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("s3://bucket/model", "FILE-005"),
        ("file:///etc", "FILE-005"),
        ("/etc/passwd", "FILE-005"),
        ("https://example.org/model", "FILE-005"),
        ("mlflow-artifacts://elsewhere:5000/0/model", "FILE-005"),
        ("mlflow-artifacts:/0/../secret", "FILE-004"),
        ("models:/delays/9", "MODEL-001"),
        (f"runs:/{'0' * 32}/model", "RUN-001"),
        (f"models:/m-{'0' * 32}", "LMODEL-001"),
    ],
)
def test_a_source_elsewhere_is_refused(desk, source, code):
    desk.ask(registry.RegisterModel(name="delays"))
    with pytest.raises(MainspringError) as caught:
        desk.ask(registry.AddVersion(name="delays", source=source))
    assert caught.value.code == code
    assert desk.ask(registry.GetModel(name="delays")).latest is None


def test_a_source_of_another_run_or_project_is_refused(desk):
    run, other = log(desk, {"model/MLmodel": b"x"}), log(desk, {"model/MLmodel": b"y"})
    desk.ask(registry.RegisterModel(name="delays"))
    lies = registry.AddVersion(name="delays", source=f"runs:/{run.id}/model", run_id=other.id)
    refuse(lambda: desk.ask(lies), Invalid, "FILE-005")
    refuse(lambda: desk.ask(registry.AddVersion(name="delays", source=f"runs:/{run.id}/none")), NotFound, "FILE-002")
    refuse(lambda: desk.ask(registry.AddVersion(name="none", source=f"runs:/{run.id}/model")), NotFound, "MODEL-001")
    desk.ask(access.AddProject(name="rail"), actor=HOME_USER)
    outside = Person(desk, "ben", "admin", project="rail")
    outside.ask(registry.RegisterModel(name="delays"))
    theirs = registry.AddVersion(name="delays", source=f"runs:/{run.id}/model")
    refuse(lambda: outside.ask(theirs), NotFound, "RUN-001")


def find(desk, text="", *, order=(), kind=registry.SearchModels, **options):
    found = desk.ask(kind(filter=text, order_by=tuple(order), **options))
    if kind is registry.SearchModels:
        return [each.name for each in found.models]
    return [(each.name, each.number) for each in found.versions]


def test_models_are_found_by_name_and_tags_in_pages(desk):
    for name, team in (("b_x", "sky"), ("B_y", "rail"), ("a", ""), ("prompt", "")):
        desk.ask(registry.RegisterModel(name=name, tags={"it's team": team} if team else {}))
        desk.clock.advance(1.0)
    desk.ask(registry.DescribeModel(name="prompt", tags={"mlflow.prompt.is_prompt": "True"}))
    assert find(desk) == ["B_y", "a", "b_x"], "by code points, without prompts"
    assert find(desk, "name LIKE 'b%'") == find(desk, "name LIKE 'b_x'") == ["b_x"]
    assert find(desk, "name ILIKE 'B%'") == ["B_y", "b_x"]
    assert find(desk, "name LIKE '[a-c]%'") == []
    assert find(desk, "name IN ('a', 'b_x')") == ["a", "b_x"]
    assert find(desk, "name NOT IN ('a', 'b_x')") == ["B_y"]
    assert find(desk, "name != 'a'") == ["B_y", "b_x"]
    assert find(desk, "tags.`it's team` = 'sky'") == ["b_x"]
    assert find(desk, "tags.`it's team` LIKE 'r%' AND name ILIKE 'b%'") == ["B_y"]
    assert find(desk, "tags.`mlflow.prompt.is_prompt` = 'true'") == ["prompt"]
    assert find(desk, "tags.`mlflow.prompt.is_prompt` != 'true'") == ["B_y", "a", "b_x"]
    assert find(desk, order=["last_updated_timestamp DESC"]) == ["a", "B_y", "b_x"]
    page = desk.ask(registry.SearchModels(limit=2))
    following = desk.ask(registry.SearchModels(limit=2, page=page.next))
    assert ([each.name for each in following.models], following.next) == (["b_x"], None)
    refuse(lambda: find(desk, "name = 'a'", page=page.next), Invalid, "RUN-013")
    refuse(lambda: find(desk, page="x"), Invalid, "RUN-013")
    refuse(lambda: find(desk, limit=1001), Invalid, "API-025")
    for wrong in ("principal = 'a'", "name > 'a'", "name = 'a' OR name = 'b'", "tags.x IS NULL"):
        refuse(lambda text=wrong: find(desk, text), Invalid, "RUN-014")


def test_versions_are_found_by_what_they_are_made_of(desk):
    run = log(desk, {"model/MLmodel": b"x"})
    for name in ("delays", "other"):
        desk.ask(registry.RegisterModel(name=name))
        desk.ask(registry.AddVersion(name=name, source=f"runs:/{run.id}/model", tags={"n": name}))
    put(desk, "m2")
    kind = {"kind": registry.SearchVersions}
    assert find(desk, **kind) == [("delays", 2), ("delays", 1), ("other", 1)]
    assert find(desk, f"run_id = '{run.id}'", **kind) == [("delays", 1), ("other", 1)]
    assert find(desk, "source_path LIKE 'runs:/%' and name = 'other'", **kind) == [("other", 1)]
    assert find(desk, "version_number >= 2", **kind) == [("delays", 2)]
    assert find(desk, "tags.n = 'delays'", **kind) == [("delays", 1)]
    assert find(desk, order=["version_number ASC"], limit=1, **kind) == [("delays", 1)]


def test_lineage_goes_both_ways_and_through_datasets(desk):
    def dataset(name, *inputs):
        command = messages.PutVersion(kind="dataset", name=name, digest=name, manifest={"table": name}, inputs=inputs)
        return desk.ask(command)

    raw = dataset("raw")
    rows, other = dataset("rows", raw.id), dataset("other")
    model = put(desk, "m1", inputs=(rows.id,))
    put(desk, "m2", inputs=(other.id,))
    judge(desk, 1, "x")

    def ask(kind, reference):
        return desk.ask(lineage.GetLineage(kind=kind, reference=reference))

    seen = ask("dataset", "raw@1")
    assert [each.reference for each in seen.models] == ["delays@1"]
    assert seen.datasets == []
    made = ask("model", "delays@1")
    assert [each.reference for each in made.datasets] == ["rows@1", "raw@1"]
    assert [each.passed for each in made.verdicts] == [True]
    assert [each.model for each in ask("dataset", "rows").verdicts] == ["delays@1"], "it judged, too"
    desk.ask(messages.Deploy(name="web", model=model.reference))
    assert ask("model", "delays@1").services == ask("dataset", "raw").services == ["web"]
    assert "seen in training by delays@1" in desk.ask(messages.Explain(thing="raw")).lines
    desk.ask(upkeep.DeleteVersions(kind="model", reference="delays@2"))
    assert [each.reference for each in ask("dataset", "other").models] == ["delays@2"], "lineage outlives it"
    refuse(lambda: ask("model", "none"), NotFound, "MODEL-001")


@pytest.mark.parametrize("details", [None, {}, {"origin": ["x"], "trained_on": None}, {"origin": {"datasets": "x"}}])
def test_edges_tell_what_training_saw_where_nobody_says_it(desk, details):
    rows = desk.ask(messages.PutVersion(kind="dataset", name="rows", digest="d", manifest={"table": "rows"}))
    desk.ask(messages.PutVersion(kind="dataset", name="fresh", digest="f", manifest={"table": "fresh"}))
    put(desk, "m1", inputs=(rows.id,), details=details)
    guard(desk)
    refuse(lambda: desk.ask(messages.Promote(model="delays", alias="champion", data="rows")), Invalid, "GATE-012")
    assert desk.ask(messages.Promote(model="delays", alias="champion", data="fresh")).kind == "gate"
