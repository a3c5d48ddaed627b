"""Files of runs and logged models: put, found, listed, replaced and removed as rows over blobs."""

import pytest
from tests.support.access import HOME_USER, Person

from mainspring.control.blobs import forget_uploads
from mainspring.control.files import resolve_source
from mainspring.control.loggedmodels import purge_hidden
from mainspring.control.retention import KEPT_DELETED_S
from mainspring.domain import access, messages, records, tracking, upkeep
from mainspring.domain.errors import MainspringError
from mainspring.domain.experiments import LogBatch
from mainspring.domain.files import File, FindFile, ListFiles, OfferFile, PutFiles, RemoveFiles
from mainspring.domain.loggedmodels import AddLoggedModel, GetLoggedModel, HideLoggedModel, ModelMetric
from mainspring.store import uses
from mainspring.store.leftovers import find_leftovers

LATE = 4_000_000_000.0


def begin(desk):
    return desk.ask(messages.BeginRun(kind="script", name="fit")).run


def put(desk, run, **contents):
    new = [File(path.replace("__", "/"), desk.blobs.put(each), len(each)) for path, each in contents.items()]
    desk.ask(PutFiles(run_id=run.id, files=new))
    return [each.digest for each in new]


def paths(desk, run, below=""):
    return [each.path for each in desk.ask(ListFiles(run_id=run.id, below=below))]


def used(desk):
    return desk.ask(messages.GetStatus()).used_bytes


def tell(desk, look):
    """Return what a look into a turn finds."""
    found = []
    desk.call(lambda turn: found.append(look(turn)))
    return found[0]


def refuse(desk, code, command, **options):
    with pytest.raises(MainspringError) as caught:
        desk.ask(command, **options)
    assert caught.value.code == code, caught.value
    return caught.value.what


def test_files_are_listed_below_a_folder_found_replaced_and_removed(desk):
    run = begin(desk)
    put(desk, run, plots__a=b"a" * 10, plots__sub__b=b"b" * 20, plotsx=b"c" * 30)
    assert paths(desk, run) == ["plots/a", "plots/sub/b", "plotsx"]
    assert paths(desk, run, "plots") == ["plots/a", "plots/sub/b"]
    assert used(desk) == 60
    put(desk, run, plots__a=b"d" * 5)
    assert desk.ask(FindFile(run_id=run.id, path="plots/a")).size_bytes == 5
    assert used(desk) == 55, "what was replaced is held no more"
    gone = desk.ask(RemoveFiles(run_id=run.id, path="plots"))
    assert [each.path for each in gone] == ["plots/a", "plots/sub/b"]
    assert (paths(desk, run), used(desk)) == (["plotsx"], 30)
    refuse(desk, "FILE-002", FindFile(run_id=run.id, path="plots/a"))
    refuse(desk, "FILE-002", RemoveFiles(run_id=run.id, path="plots"))


def test_equal_bytes_stay_while_another_file_names_them(desk):
    run = begin(desk)
    put(desk, run, a=b"x" * 10, b=b"x" * 10)
    desk.ask(RemoveFiles(run_id=run.id, path="a"))
    assert used(desk) == 10
    desk.ask(RemoveFiles(run_id=run.id, path="b"))
    assert used(desk) == 0


def test_a_run_with_a_result_keeps_what_its_parts_may_name(desk):
    run = begin(desk)
    (digest,) = put(desk, run, a=b"x" * 10)
    value = records.Value("collection", desk.blobs.put(b"{}"), 2, parts=(digest,))
    desk.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded", outputs=value))
    desk.ask(RemoveFiles(run_id=run.id, path="a"))
    assert tell(desk, lambda turn: uses.may_read(turn.connection, "default", digest, "user:nobody"))
    desk.ask(upkeep.DeleteRuns(ids=[run.id]))
    assert not tell(desk, lambda turn: uses.may_read(turn.connection, "default", digest, "user:nobody"))


def test_a_file_and_a_folder_have_not_one_name(desk):
    run = begin(desk)
    put(desk, run, plots__a=b"a")
    for path in ("plots", "plots/a/b"):
        assert "Invalid path" in refuse(desk, "FILE-001", OfferFile(run_id=run.id, path=path))
        refuse(desk, "FILE-001", PutFiles(run_id=run.id, files=[File(path, desk.blobs.put(b"b"), 1)]))


def test_every_command_checks_the_path(desk):
    run, bad = begin(desk), "%2e%2e/secret"
    refuse(desk, "FILE-001", ListFiles(run_id=run.id, below=bad))
    refuse(desk, "FILE-001", FindFile(run_id=run.id, path=bad))
    refuse(desk, "FILE-001", OfferFile(run_id=run.id, path=bad))
    refuse(desk, "FILE-001", PutFiles(run_id=run.id, files=[File(bad, desk.blobs.put(b"b"), 1)]))
    refuse(desk, "FILE-001", RemoveFiles(run_id=run.id, path=bad))
    refuse(desk, "HOME-014", PutFiles(run_id=run.id, files=[File("a", "../../etc", 1)]))
    refuse(desk, "RUN-001", ListFiles(run_id=run.id[:8]))


def test_a_digest_that_was_not_uploaded_gives_nothing(desk):
    run = begin(desk)
    (digest,) = put(desk, run, a=b"secret")
    desk.ask(access.AddProject(name="rail"), actor=HOME_USER)
    ben = Person(desk, "ben", "editor", project="rail")
    mine = ben.ask(messages.BeginRun(kind="script", name="fit")).run
    with pytest.raises(MainspringError, match="HOME-013"):
        ben.ask(PutFiles(run_id=mine.id, files=[File("a", digest, 6)]))
    ben.ask(PutFiles(run_id=mine.id, files=[File("a", ben.upload(b"mine"), 4)]))
    viewer = Person(desk, "vera", "viewer", project="rail")
    assert [each.path for each in viewer.ask(ListFiles(run_id=mine.id))] == ["a"]
    for command in (OfferFile(run_id=mine.id, path="b"), RemoveFiles(run_id=mine.id, path="a")):
        with pytest.raises(MainspringError, match="AUTH-005"):
            viewer.ask(command)


def test_the_quota_is_asked_before_the_bytes_travel_and_held_when_they_are_named(desk):
    run = begin(desk)
    desk.ask(access.SetProject(name="default", quota_bytes=100), actor=HOME_USER)
    desk.ask(OfferFile(run_id=run.id, path="a", size_bytes=100))
    refuse(desk, "KEEP-005", OfferFile(run_id=run.id, path="a", size_bytes=101))
    refuse(desk, "KEEP-005", PutFiles(run_id=run.id, files=[File("a", desk.blobs.put(b"x" * 101), 1)]))
    assert paths(desk, run) == []


def test_files_of_a_deleted_run_are_hidden_then_gone_and_swept(desk):
    run = begin(desk)
    (digest,) = put(desk, run, a=b"x" * 10)
    desk.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded"))
    assert find_leftovers(desk.home, -1.0).blobs == {}, "a file names its blob"
    desk.ask(upkeep.DeleteRuns(ids=[run.id]))
    refuse(desk, "RUN-001", ListFiles(run_id=run.id))
    refuse(desk, "RUN-001", PutFiles(run_id=run.id, files=[]))
    desk.ask(upkeep.RestoreRuns(ids=[run.id]))
    assert paths(desk, run) == ["a"]
    desk.ask(upkeep.DeleteRuns(ids=[run.id]))
    desk.ask(upkeep.PurgeDeleted(before=LATE))
    desk.call(forget_uploads)
    assert used(desk) == 0
    assert list(find_leftovers(desk.home, -1.0).blobs) == [digest]


def test_a_source_is_files_of_this_record_or_refused(desk):
    run = begin(desk)
    digest, _ = put(desk, run, model__MLmodel=b"x", other=b"y")
    version = {"MLmodel": digest, "data/model.bin": desk.blobs.put(b"z")}
    desk.ask(messages.PutVersion(kind="model", name="delays", digest="d", manifest=version))

    def resolve(source):
        return tell(desk, lambda turn: resolve_source(turn, source))

    for source in (f"runs:/{run.id}/model", f"mlflow-artifacts:/0/{run.id}/artifacts/model"):
        found = resolve(source)
        assert (found.files, found.run_id) == ({"MLmodel": digest}, run.id)
    for source in ("models:/delays/1", "mlflow-artifacts:/models/delays/1"):
        assert resolve(source).files == version
    assert list(resolve("models:/delays/1/data").files) == ["model.bin"]
    refused = {
        "file:///etc": "FILE-005",
        "/etc": "FILE-005",
        "s3://bucket/model": "FILE-005",
        "http://127.0.0.1/model": "FILE-005",
        "mlflow-artifacts://elsewhere/0/x": "FILE-005",
        "mlflow-artifacts:/0": "FILE-004",
        f"runs:/{run.id}/../../x": "FILE-001",
        f"runs:/{run.id}/nothing": "FILE-002",
        f"models:/m-{run.id}": "LMODEL-001",
        "models:/delays/7": "MODEL-001",
    }
    for source, code in refused.items():
        with pytest.raises(MainspringError) as caught:
            resolve(source)
        assert caught.value.code == code, source


def test_files_stand_among_the_artifacts_of_a_run(desk):
    run = begin(desk)
    (digest,) = put(desk, run, plots__roc=b"x" * 2048)
    value = records.Value("png", desk.blobs.put(b"y"), 1)
    logged = tracking.Artifact("curve", 0, 1.0, value)
    held = {"run_id": run.id, "attempt": 1, "fence": run.fence}
    desk.ask(messages.Report(**held, offset=1, artifacts=[logged]))
    assert desk.ask(tracking.ListArtifacts(run_id=run.id, native=True)) == [logged]
    _, file = desk.ask(tracking.ListArtifacts(run_id=run.id))
    assert (file.name, file.value.codec, file.value.digest, file.value.summary) == (
        "plots/roc", "file", digest, "file, 2 kB",
    )  # fmt: skip


def log_model(desk, run, **contents):
    made = desk.ask(AddLoggedModel(experiment=0, name="fit", run_id=run.id))
    new = [File(path, desk.blobs.put(each), len(each)) for path, each in contents.items()]
    desk.ask(PutFiles(model_id=made.id, files=new))
    desk.ask(LogBatch(run_id=run.id, of_models=[ModelMetric("auc", 0, 1.0, 0.9, made.id)]))
    return made


def test_a_logged_model_goes_with_its_run(desk):
    run = begin(desk)
    made = log_model(desk, run, MLmodel=b"x" * 10)
    source = tell(desk, lambda turn: resolve_source(turn, f"models:/m-{made.id}"))
    assert (list(source.files), source.run_id, source.model_id) == (["MLmodel"], run.id, made.id)
    assert used(desk) == 10
    desk.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded"))
    desk.ask(upkeep.DeleteRuns(ids=[run.id]))
    refuse(desk, "LMODEL-001", GetLoggedModel(model_id=made.id))
    refuse(desk, "LMODEL-001", ListFiles(model_id=made.id))
    desk.ask(upkeep.RestoreRuns(ids=[run.id]))
    assert [each.value for each in desk.ask(GetLoggedModel(model_id=made.id)).metrics] == [0.9]
    desk.ask(upkeep.DeleteRuns(ids=[run.id]))
    desk.ask(upkeep.PurgeDeleted(before=LATE))
    assert used(desk) == 0
    assert len(find_leftovers(desk.home, -1.0).blobs) == 1


def test_a_deleted_logged_model_is_purged_when_its_project_keeps_nothing_that_long(desk):
    run = begin(desk)
    made = log_model(desk, run, MLmodel=b"x" * 10)
    digest = desk.ask(FindFile(model_id=made.id, path="MLmodel")).digest
    desk.ask(HideLoggedModel(model_id=made.id))
    assert not tell(desk, lambda turn: uses.may_read(turn.connection, "default", digest, "user:nobody"))
    desk.call(purge_hidden)
    assert desk.ask(GetLoggedModel(model_id=made.id, deleted=True)).deleted_at is not None
    desk.clock.advance(KEPT_DELETED_S + 1.0)
    desk.call(purge_hidden)
    refuse(desk, "LMODEL-001", GetLoggedModel(model_id=made.id, deleted=True))
    assert used(desk) == 0
