"""Projects: nothing of one is reached from another, by whatever id or name (IDOR)."""

import pytest
from tests.support.access import HOME_USER, Person

from mainspring.domain import (
    access,
    experiments,
    files,
    gates,
    imports,
    lineage,
    loggedmodels,
    messages,
    passwords,
    pools,
    predictions,
    preemptions,
    quotas,
    records,
    registry,
    rehearsals,
    retries,
    searches,
    sinks,
    tracking,
    transfers,
    triggers,
    upkeep,
)
from mainspring.domain.answers import ANSWERS
from mainspring.domain.errors import MainspringError
from mainspring.domain.wire import encode_command

HIDDEN = {
    "EXP-001",
    "TRIGGER-005",
    "KEEP-004",
    "RUN-001",
    "DATA-002",
    "MODEL-001",
    "SERVE-001",
    "HOME-010",
    "SECRET-001",
    "RENEW-006",
    "GATE-011",
    "SINK-001",
    "LMODEL-001",
    "IMPORT-006",
}

ON_PIPELINES = (
    messages.Explain,
    triggers.GetPipeline,
    triggers.StartPipeline,
    triggers.PausePipeline,
    triggers.ResumePipeline,
    triggers.RemovePipeline,
)

ON_REGISTRY = (
    lineage.GetLineage(kind="dataset", reference="orders"),
    lineage.GetLineage(kind="model", reference="delays@best"),
    registry.GetModel(name="delays"),
    registry.DescribeModel(name="delays", description="mine"),
    registry.DescribeModel(name="delays", number=1, tags={"mine": "yes"}),
    registry.RenameModel(name="delays", to="mine"),
    registry.DropAlias(name="delays", alias="best"),
    registry.StageVersion(name="delays", number=1, stage="Production"),
    registry.ProveModel(reference="delays@1"),
    registry.AddVersion(name="delays", source="models:/delays/1"),
    gates.GetGate(model="delays", alias="champion"),
    gates.RemoveGate(model="delays", alias="champion", reason="in the way"),
    upkeep.DeleteModel(reference="delays@1"),
    upkeep.RestoreModel(reference="delays@1"),
    upkeep.DeleteVersions(kind="model", reference="delays@1"),
    upkeep.RestoreVersions(kind="model", reference="delays", all=True),
)


@pytest.fixture
def rooms(desk, open_home):
    """Two projects with one of everything in `air`, an admin of each, and one of everything's ids."""
    for name in ("air", "rail"):
        desk.ask(access.AddProject(name=name), actor=HOME_USER)
    inside = Person(desk, "anna", "admin", project="air")
    outside = Person(desk, "ben", "admin", project="rail")
    run = inside.ask(messages.BeginRun(kind="step", name="fit", key="k", params={"canary": 1})).run
    inside.ask(experiments.AddExperiment(name="churn"))
    made = inside.ask(loggedmodels.AddLoggedModel(experiment=1, name="canary"))
    value = records.Value("json", inside.upload(b"1"), 1)
    data = inside.ask(messages.PutVersion(kind="dataset", name="orders", digest="d1", manifest={"table": "orders@air"}))
    inside.ask(messages.PutVersion(kind="model", name="delays", digest="m1", manifest={}))
    inside.ask(messages.MoveAlias(kind="model", name="delays", alias="best", number=1))
    inside.ask(messages.Deploy(name="web", model="delays@best"))
    inside.ask(messages.Apply(declarations=[records.Declaration("gate", "delays->champion", {"alpha": 0.1})]))
    flow = {"triggers": [], "folder": "", "snapshot": {"files": {}, "entry": "canary:run", "python": ""}}
    inside.ask(messages.Apply(declarations=[records.Declaration("pipeline", "nightly", flow)]))
    inside.ask(access.AddSecret(name="database", value="canary-secret"))
    inside.ask(sinks.AddSink(name="ops", kind="webhook", url="https://ops.example.org/canary"))
    ended = inside.ask(messages.BeginRun(kind="step", name="ended", key="kept", cache=True)).run
    done = messages.FinishRun(run_id=ended.id, attempt=1, fence=ended.fence, state="succeeded", outputs=value)
    inside.ask(done)
    return desk, inside, outside, run, data, made


def reach_files(named):
    """Whatever can be asked about files of a run or a logged model."""
    return [
        files.ListFiles(**named),
        files.FindFile(path="a", **named),
        files.OfferFile(path="a", **named),
        files.PutFiles(files=[], **named),
        files.RemoveFiles(path="a", **named),
    ]


def probe_experiments(run):
    return [
        experiments.GetExperiment(number=1),
        experiments.GetExperiment(name="churn"),
        experiments.RenameExperiment(number=1, name="mine"),
        experiments.DeleteExperiment(number=1),
        experiments.RestoreExperiment(number=1),
        experiments.TagExperiment(number=1, tags={"mine": "yes"}),
        experiments.OpenRun(parent_id=run.id),
        experiments.GetLoggedRun(run_id=run.id),
        experiments.SetRun(run_id=run.id, state="failed"),
        experiments.HideRun(run_id=run.id),
        experiments.ShowRun(run_id=run.id),
        experiments.LogBatch(run_id=run.id, tags={"mine": "yes"}),
        experiments.LogInputs(run_id=run.id),
        tracking.ResumeRun(run_id=run.id),
        tracking.TagRun(run_id=run.id, tags={"mine": "yes"}),
        tracking.GetProvenance(run_id=run.id),
        searches.ReadHistory(run_id=run.id, key="auc"),
        searches.SampleHistories(run_ids=(run.id,), key="auc"),
    ]


def reach_models(run, made):
    """Whatever can be asked about logged models, and about files."""
    return [
        loggedmodels.AddLoggedModel(experiment=0, name="fit", run_id=run.id),
        loggedmodels.GetLoggedModel(model_id=made.id),
        loggedmodels.SetLoggedModel(model_id=made.id, state="ready"),
        loggedmodels.HideLoggedModel(model_id=made.id),
        imports.ImportRun(run_id=run.id, experiment=0),
        imports.ImportLoggedModel(model_id=made.id, experiment=0, name="fit"),
        *(command for named in ({"run_id": run.id}, {"model_id": made.id}) for command in reach_files(named)),
    ]


def probes(run, data, made):
    """One command for each way to name something of the other project."""
    held = {"run_id": run.id, "attempt": run.attempt, "fence": run.fence}
    return [
        messages.BeginRun(kind="step", name="x", parent_id=run.id),
        messages.SubmitRuns(
            runs=[messages.RunSpec(kind="step", name="x", call=records.Call(job="gate"), parent_id=run.id)]
        ),
        messages.Heartbeat(leases=[(run.id, run.attempt, run.fence)]),
        messages.Report(**held, offset=1, points=[("auc", 0, 0.0, 1.0)]),
        messages.FinishRun(**held, state="failed"),
        *(messages.GetRun(id=part) for part in (run.id, run.id[-8:], run.id[:12])),
        messages.WaitRuns(ids=[run.id], wait_s=0.0),
        messages.CancelRuns(ids=[run.id]),
        rehearsals.Rehearse(command=encode_command(messages.CancelRuns(ids=[run.id]))),
        retries.GetCall(id=run.id),
        preemptions.PreemptRuns(ids=[run.id]),
        retries.RetryRuns(ids=[run.id]),
        tracking.ListArtifacts(run_id=run.id),
        *reach_models(run, made),
        *probe_experiments(run),
        tracking.CompareRuns(before=run.id, after=run.id),
        messages.GetSeries(run_id=run.id, key="auc"),
        messages.GetLogs(run_id=run.id),
        messages.PutVersion(kind="dataset", name="x", digest="d", manifest={}, inputs=(data.id,)),
        messages.PutVersion(kind="dataset", name="x", digest="d", manifest={}, run_id=run.id),
        transfers.WriteRows(name="x", parts=(), append=False, after="", digest="d", details={}, inputs=(data.id,)),
        transfers.WriteRows(name="x", parts=(), append=False, after="", digest="d", details={}, run_id=run.id),
        messages.GetVersion(kind="dataset", reference="orders"),
        messages.GetVersion(kind="model", reference="delays@best"),
        messages.ListReads(run_id=run.id),
        messages.MoveAlias(kind="model", name="delays", alias="best", number=1),
        *ON_REGISTRY,
        upkeep.DeleteRuns(ids=[run.id]),
        upkeep.RestoreRuns(ids=[run.id]),
        messages.Promote(model="delays", alias="champion", data="orders"),
        predictions.Predict(model="delays", data="orders", to="x"),
        messages.GetVerdict(run_id=run.id),
        messages.GetDeclaration(kind="gate", name="delays->champion"),
        *(each("nightly") for each in ON_PIPELINES),
        messages.Deploy(name="mine", model="delays@best"),
        messages.GetService(name="web"),
        messages.StopService(name="web"),
        messages.RollbackService(name="web"),
        messages.CheckService(name="web", until=0.0),
        messages.Explain(thing=run.id),
        messages.Explain(thing=run.id[-8:]),
        messages.Explain(thing="web"),
        messages.Explain(thing="delays@best"),
        access.GetSecret(name="database"),
        access.RemoveSecret(name="database"),
        access.UseSecret(name="database", **held),
        *(each(name="ops") for each in (sinks.GetSink, sinks.RemoveSink, sinks.TestSink, sinks.ResendEvents)),
    ]


def test_nothing_of_another_project_is_reached_by_name_or_id(rooms):
    _desk, _, outside, run, data, made = rooms
    for command in probes(run, data, made):
        with pytest.raises(MainspringError) as caught:
            outside.ask(command)
        assert caught.value.code in HIDDEN, (command, caught.value)
        assert "canary" not in str(caught.value)


def test_lists_hold_nothing_of_another_project(rooms):
    _, inside, outside, *_ = rooms
    for command in (
        messages.ListRuns(),
        messages.ListVersions(kind="dataset"),
        messages.ListVersions(kind="model"),
        messages.ListVersions(kind="model", name="delays"),
        messages.ListServices(),
        triggers.ListPipelines(),
        gates.ListGates(),
        registry.ListModels(),
        experiments.ListDatasetInputs(experiments=(1,)),
        messages.ListAlarms(),
        messages.ListRenewals(),
        messages.ListEvents(),
        access.ListSecrets(),
        sinks.ListSinks(),
    ):
        assert outside.ask(command) == [], command
    for shown in ("active", "deleted", "all"):
        assert outside.ask(searches.FindRuns(experiments=(0, 1), shown=shown)).runs == []
    assert inside.ask(messages.ListServices())
    status = outside.ask(messages.GetStatus())
    assert (status.runs, status.services) == ({}, [])


def test_every_command_that_names_something_is_probed(rooms):
    *_, run, data, made = rooms
    probed = {type(command) for command in probes(run, data, made)}
    nameless = {
        command
        for command in ANSWERS
        if not {"run_id", "parent_id", "digest", "ids", "id", "name", "reference", "thing", "model", "leases", "runs"}
        & set(command.__struct_fields__)
    }
    about_principals = {
        access.AddProject, access.SetProject, access.RemoveProject, access.AddUser, access.GetUser, access.RemoveUser,
        access.GrantRole, access.RevokeRole, access.IssueToken, access.RevokeToken, passwords.SetPassword,
        passwords.FindPassword,
    }  # fmt: skip
    by_lists = {messages.ListRuns, messages.ListVersions}
    makes = {access.AddSecret, sinks.AddSink, registry.RegisterModel, experiments.AddExperiment}
    makes |= {
        pools.AddPool,
        pools.GetPool,
        pools.RemovePool,
        quotas.SetQuota,
        quotas.RemoveQuota,
    }  # of the home, not of a project
    makes |= {transfers.FindBlob, transfers.HoldBlob, transfers.NoteUpload}  # test_blobs
    makes |= {triggers.ReceiveHook}  # test_hooks
    makes |= {access.MakeDataKey, access.UseDataKey}  # test_a_data_key_is_of_one_project
    assert set(ANSWERS) - probed - nameless - about_principals - by_lists - makes == set()


def test_the_same_names_are_others_in_another_project(rooms):
    desk, inside, outside, _run, *_ = rooms
    version = outside.ask(messages.PutVersion(kind="model", name="delays", digest="m1", manifest={}))
    assert version.number == 1
    assert version.project == "rail"
    service = outside.ask(messages.Deploy(name="web", model="delays"))
    assert service.id != inside.ask(messages.GetService(name="web")).id
    assert desk.home.service_folder("air", "web") != desk.home.service_folder("rail", "web")
    begun = outside.ask(messages.BeginRun(kind="step", name="ended", key="kept", cache=True))
    assert not begun.hit, "a result of another project answered"
    assert inside.ask(messages.BeginRun(kind="step", name="ended", key="kept", cache=True)).hit


def test_equal_dedupe_texts_do_not_meet(rooms):
    desk, inside, outside, *_ = rooms
    calls = [records.Call(payload=person.upload(b"call")) for person in (inside, outside)]
    spec = messages.RunSpec(kind="step", name="x", call=calls[0], dedupe="the same")
    first = inside.ask(messages.SubmitRuns(runs=[spec]))[0]
    second = outside.ask(messages.SubmitRuns(runs=[spec]))[0]
    assert first.id != second.id
    spec.dedupe = "project:air:the same"
    assert desk.ask(messages.SubmitRuns(runs=[spec]), actor=HOME_USER)[0].id != first.id


def test_an_envelope_moved_to_another_project_does_not_open(rooms):
    desk, _, outside, *_ = rooms
    desk.call(
        lambda turn: turn.connection.exec_driver_sql("UPDATE secrets SET project = 'rail' WHERE name = 'database'")
    )
    mine = outside.ask(messages.BeginRun(kind="step", name="fit")).run
    with pytest.raises(MainspringError, match="SECRET-003"):
        outside.ask(access.UseSecret(name="database", run_id=mine.id, attempt=1, fence=mine.fence))


def test_a_data_key_is_of_one_project(rooms):
    desk, inside, outside, *_ = rooms
    made = inside.ask(access.MakeDataKey(name="column:people:name"))
    assert (
        inside.ask(access.UseDataKey(id=made.id)) == inside.ask(access.MakeDataKey(name="column:people:name")) == made
    )
    assert outside.ask(access.MakeDataKey(name="column:people:name")).key != made.key
    with pytest.raises(MainspringError, match="SECRET-006"):
        outside.ask(access.UseDataKey(id=made.id))
    desk.call(lambda turn: turn.connection.exec_driver_sql("UPDATE data_keys SET name = NULL, project = 'rail'"))
    with pytest.raises(MainspringError, match="SECRET-003"):
        outside.ask(access.UseDataKey(id=made.id))
