"""What is tried leaves nothing behind; what cannot be tried is refused, and who may not may not try."""

import pytest
from sqlalchemy import text

from mainspring.control.usecases import HANDLERS, PASSING, READING, REHEARSED, UNKEPT
from mainspring.domain import (
    access,
    gates,
    messages,
    pools,
    quotas,
    records,
    registry,
    retries,
    sinks,
    tracking,
    triggers,
    upkeep,
)
from mainspring.domain.answers import ANSWERS
from mainspring.domain.errors import Conflict, Denied, Invalid, MainspringError, NotFound
from mainspring.domain.principals import Principal
from mainspring.domain.rehearsals import Rehearse
from mainspring.domain.wire import decode_answer, encode_command
from mainspring.store.engine import dialect_of


def rehearse(desk, command, **who):
    return decode_answer(desk.ask(Rehearse(command=encode_command(command)), **who).body, type(command))


def dump(desk):
    """Return every row of every table."""
    with desk._engine.connect() as connection:
        names = sorted(dialect_of(connection).list_tables(connection))
        return {name: sorted(map(repr, connection.execute(text(f'select * from "{name}"')))) for name in names}


@pytest.fixture
def filled(desk):
    """A record with something to change of each kind."""
    spec = messages.RunSpec(kind="step", name="fit", call=records.Call(payload="0" * 64))
    (queued,) = desk.ask(messages.SubmitRuns([spec]))
    (ended,) = desk.ask(messages.SubmitRuns([messages.RunSpec(kind="step", name="old", call=spec.call)]))
    desk.ask(messages.CancelRuns([ended.id]))
    for kind in ("model", "dataset"):
        for digit in "12":
            desk.ask(messages.PutVersion(kind=kind, name="delays", digest=digit * 64, manifest={}))
    desk.ask(upkeep.DeleteVersions(kind="model", reference="delays@1"))
    desk.ask(upkeep.DeleteRuns([ended.id]))
    desk.ask(messages.Deploy("delays", "delays@2"))
    desk.ask(access.AddUser(name="anna", role="viewer"))
    desk.token = desk.ask(access.IssueToken(principal="anna")).record.id
    desk.ask(access.AddProject(name="rail"))
    desk.ask(access.AddSecret(name="hook", value="a long value"))
    desk.ask(pools.AddPool(name="lab", url="local://lab?cpus=1"))
    desk.ask(pools.DrainNode(place="lab"))
    desk.ask(quotas.SetQuota(tenant="lab", weight=2.0))
    desk.ask(sinks.AddSink(name="ops", kind="slack", secret="hook"))
    snapshot = {"files": {}, "entry": "flow:run", "python": "python3", "preload": []}
    flow = {"triggers": [], "folder": "/", "snapshot": snapshot}
    desk.ask(messages.Apply([records.Declaration("pipeline", name, flow) for name in ("nightly", "weekly")]))
    desk.ask(messages.Apply([records.Declaration("gate", "fair->champion", {})]))
    desk.ask(messages.PutVersion(kind="model", name="fair", digest="3" * 64, manifest={}))
    desk.ask(messages.MoveAlias(kind="model", name="fair", alias="held", number=1))
    desk.ask(triggers.PausePipeline(name="weekly"))
    desk.queued, desk.ended = queued.id, ended.id
    return desk


def changes(desk):
    return [
        messages.CancelRuns([desk.queued]),
        messages.MoveAlias(kind="model", name="delays", alias="good", number=2),
        registry.RegisterModel(name="more"),
        registry.DescribeModel(name="delays", number=2, description="late", tags={"a": "b"}),
        registry.DropAlias(name="fair", alias="held"),
        gates.RemoveGate(model="fair", alias="champion", reason="another task"),
        registry.RenameModel(name="fair", to="good"),
        registry.StageVersion(name="delays", number=2, stage="Production"),
        messages.Deploy("others", "delays@2"),
        messages.Deploy("delays", "delays@2", "direct"),
        messages.StopService("delays"),
        tracking.TagRun(run_id=desk.queued, tags={"a": "b"}),
        upkeep.RestoreRuns([desk.ended]),
        upkeep.RestoreVersions(kind="model", reference="delays@1"),
        access.AddProject(name="road"),
        access.RemoveProject(name="rail"),
        access.AddUser(name="ben"),
        access.GrantRole(name="anna", role="editor"),
        access.RevokeRole(name="anna"),
        access.RevokeToken(id=desk.token),
        pools.AddPool(name="more", url="local://more?cpus=1"),
        pools.DrainNode(place="local"),
        pools.ResumeNode(place="lab"),
        pools.RemovePool(name="lab", force=True),
        quotas.SetQuota(tenant="lab/anna", weight=3.0),
        quotas.RemoveQuota(tenant="lab"),
        sinks.AddSink(name="more", kind="slack", secret="hook"),
        sinks.RemoveSink(name="ops"),
        triggers.StartPipeline(name="nightly"),
        triggers.PausePipeline(name="nightly"),
        triggers.ResumePipeline(name="weekly"),
        triggers.RemovePipeline(name="nightly"),
        access.RemoveSecret(name="hook"),
        access.RemoveUser(name="anna"),
    ]


def test_what_is_tried_answers_and_leaves_every_table_as_it_was(filled):
    before = dump(filled)
    for command in changes(filled):
        try:
            answer = rehearse(filled, command)
        except MainspringError as error:
            pytest.fail(f"{command}: {error}")
        assert answer is not None or ANSWERS[type(command)] is messages.Nothing
        assert dump(filled) == before, command
    tried = {type(each) for each in changes(filled)}
    assert {each.__name__ for each in REHEARSED - tried} <= {"PreemptRuns", "RetryRuns", "RollbackService"}


def test_what_is_tried_is_answered_as_in_earnest(filled):
    for command in changes(filled):
        told = rehearse(filled, command)
        done = filled.ask(command)
        for name in ("state", "name", "kind", "number", "aliases", "roles", "revoked_at", "desired", "tags"):
            assert getattr(told, name, None) == getattr(done, name, None), (command, name)
        if command.__class__ is messages.CancelRuns:
            assert [run.state for run in told] == [run.state for run in done] == ["cancelled"]


def test_a_refusal_is_told_beforehand(filled):
    with pytest.raises(NotFound, match="MODEL-001"):
        rehearse(filled, messages.Deploy("delays", "none@1"))
    with pytest.raises(Conflict, match="SERVE-040"):
        rehearse(filled, messages.RollbackService("delays"))
    with pytest.raises(Conflict, match="RUN-021"):
        rehearse(filled, retries.RetryRuns([filled.queued]))


def test_what_acts_beyond_the_record_cannot_be_tried(filled):
    before = dump(filled)
    for command in (messages.Stop(), access.RotateKeys(), access.IssueToken(principal="anna"), messages.GetStatus()):
        with pytest.raises(Invalid, match="HOME-038"):
            rehearse(filled, command)
    with pytest.raises(Invalid, match="HOME-038"):
        rehearse(filled, Rehearse(command=encode_command(messages.Stop())))
    with pytest.raises(Invalid, match="HOME-004"):
        filled.ask(Rehearse(command=b"\xc1"))
    assert dump(filled) == before


def test_who_may_not_do_it_may_not_try_it(filled):
    viewer = Principal("anna", "user", {"default": "viewer"})
    for command in (messages.StopService("delays"), messages.CancelRuns([filled.queued])):
        with pytest.raises(Denied, match="AUTH-005"):
            rehearse(filled, command, actor=viewer)


def test_only_kept_and_durable_changes_are_tried():
    assert not REHEARSED & (READING | UNKEPT | PASSING)
    assert set(HANDLERS) >= REHEARSED
