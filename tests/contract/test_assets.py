"""Versions, references, aliases and the lineage between them."""

import pytest
from sqlalchemy import select

from mainspring.domain import messages, records
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.store.rows import add
from mainspring.store.tables import declarations, edges


def put(desk, digest, name="orders", kind="dataset", **options):
    manifest = {"table": name, "files": ["a", "b"]} if kind == "dataset" else {}
    return desk.ask(messages.PutVersion(kind=kind, name=name, digest=digest, manifest=manifest, **options))


def get(desk, reference, kind="dataset", **options):
    return desk.ask(messages.GetVersion(kind=kind, reference=reference, **options))


def test_versions_of_a_name_are_numbered_and_equal_content_is_one_version(desk):
    first, second = put(desk, "d1"), put(desk, "d2", details={"rows": 3})
    assert (first.number, second.number) == (1, 2)
    assert put(desk, "d1") == first
    assert put(desk, "d1", name="other").number == 1
    assert put(desk, "d1", kind="model").id != first.id
    assert len(desk.ask(messages.ListEvents(kind="data"))) == 3
    assert [version.number for version in desk.ask(messages.ListVersions(kind="dataset", name="orders"))] == [2, 1]
    latest = desk.ask(messages.ListVersions(kind="dataset"))
    assert [(version.name, version.number) for version in latest] == [("other", 1), ("orders", 2)]


def test_a_reference_names_a_version_by_number_alias_day_or_as_the_latest(desk):
    first = put(desk, "d1")
    desk.clock.advance(86_400)
    second = put(desk, "d2")
    desk.ask(messages.MoveAlias(kind="dataset", name="orders", alias="clean", number=1))
    assert get(desk, "orders").id == second.id
    assert get(desk, "orders@1").id == first.id
    assert get(desk, "orders@clean").aliases == ("clean",)
    assert get(desk, "orders@2027-01-15").id == first.id
    assert get(desk, "orders@2027-01-16").id == second.id
    assert get(desk, "orders@9999-12-31").id == second.id


@pytest.mark.parametrize("reference", ["orders@9", "orders@none", "orders@2001-01-01", "nothing"])
@pytest.mark.parametrize(("kind", "code"), [("dataset", "DATA-002"), ("model", "MODEL-001")])
def test_a_reference_to_nothing_says_so(desk, reference, kind, code):
    put(desk, "d1", kind=kind)
    with pytest.raises(NotFound) as caught:
        get(desk, reference, kind)
    assert caught.value.code == code
    assert reference in caught.value.what


@pytest.mark.parametrize("name", ["", "orders@1", "a b", "../x", "9x", "x" * 101])
def test_a_name_that_is_none_is_refused(desk, name):
    with pytest.raises(Invalid) as caught:
        put(desk, "d1", name=name)
    assert caught.value.code == "DATA-001"


def test_what_was_read_and_written_is_lineage(desk):
    run = desk.ask(messages.BeginRun(kind="step", name="train")).run
    rows = put(desk, "d1", event_time=1_357_000_000.0)
    get(desk, "orders@1", run_id=run.id)
    get(desk, "orders@1", run_id=run.id)
    model = put(desk, "m1", "delays", "model", run_id=run.id, inputs=(rows.id,))
    assert model.inputs == (rows.id,)
    assert get(desk, "delays", "model").inputs == (rows.id,)
    lineage = {}

    def read(turn):
        for source, target, kind in turn.connection.execute(select(edges.c.source, edges.c.target, edges.c.kind)):
            lineage.setdefault(kind, []).append((source, target))

    desk.call(read)
    assert lineage == {"read": [(rows.id, run.id)], "wrote": [(run.id, model.id)], "input": [(rows.id, model.id)]}
    assert desk.ask(messages.ListEvents(kind="data"))[0].event_time == 1_357_000_000.0
    with pytest.raises(NotFound, match="HOME-010"):
        put(desk, "d9", inputs=("0" * 32,))


def test_an_alias_moves_and_says_so(desk):
    put(desk, "m1", "delays", "model")
    put(desk, "m2", "delays", "model")
    for number in (1, 2, 2):
        moved = desk.ask(messages.MoveAlias(kind="model", name="delays", alias="best", number=number, reason="try"))
        assert moved.aliases == ("best",)
    events = desk.ask(messages.ListEvents(kind="alias"))
    assert [(event.body["before"], event.body["number"]) for event in events] == [(None, 1), (1, 2)]
    assert get(desk, "delays@1", "model").aliases == ()


def test_a_gated_alias_is_not_moved_by_hand(desk):
    put(desk, "m1", "delays", "model")
    gate = records.Declaration("gate", "delays->champion", {})
    desk.call(lambda turn: add(turn.connection, declarations, gate, project="default", principal="x", created_at=0.0))
    with pytest.raises(Conflict) as caught:
        desk.ask(messages.MoveAlias(kind="model", name="delays", alias="champion", number=1))
    assert caught.value.code == "GATE-003"
    assert "delays@champion" in caught.value.what
    desk.ask(messages.MoveAlias(kind="model", name="delays", alias="other", number=1))


def test_what_a_whole_tree_has_read_is_listed_without_what_judged(desk):
    def begin(name, parent=None, kind="step", **options):
        return desk.ask(messages.BeginRun(kind=kind, name=name, parent_id=parent, **options))

    versions = [put(desk, f"d{number}", name) for number, name in enumerate(["early", "rows", "recent", "other"])]
    before = begin("rows", key="k", cache=True).run
    get(desk, "early", run_id=before.id)
    stored = records.Value("json", desk.blobs.put(b"1"), 1)
    end = messages.FinishRun(run_id=before.id, attempt=1, fence=before.fence, state="succeeded", outputs=stored)
    desk.ask(end)
    pipeline = begin("train", kind="pipeline").run
    hit = begin("rows", pipeline.id, key="k", cache=True)
    assert hit.hit
    trial = begin("fit", begin("tune", pipeline.id, "study").run.id).run
    get(desk, "rows", run_id=trial.id)
    get(desk, "recent", run_id=begin("gate", pipeline.id, "gate").run.id)
    get(desk, "other", run_id=begin("stranger").run.id)
    for asked in (pipeline.id, trial.id, hit.run.id):
        assert desk.ask(messages.ListReads(run_id=asked)) == versions[:2]
    with pytest.raises(NotFound, match="RUN-001"):
        desk.ask(messages.ListReads(run_id="0" * 32))
