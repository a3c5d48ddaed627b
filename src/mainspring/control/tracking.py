"""Use cases of what runs log and know of themselves: resumption, tags, artifacts, provenance, comparison."""

from __future__ import annotations

import msgspec

from mainspring.control.finishing import lose_run
from mainspring.control.leases import lease_of
from mainspring.control.processes import process_start
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import tracking
from mainspring.domain.errors import Conflict, NotFound
from mainspring.domain.files import File
from mainspring.domain.records import Run, Value
from mainspring.domain.units import format_size
from mainspring.store import artifacts, provenances, runfiles, runs, series
from mainspring.store.versions import list_reads
from mainspring.tracking.comparison import Side, compare


@handles(tracking.ResumeRun, action="runs.start")
def resume_run(turn: Turn, command: tracking.ResumeRun) -> tracking.Resumed:
    """Begin the next attempt of a script's run that has ended.

    What ended is the attempt before: its fence is old, so a word of it that comes late is refused.

    Raises
    ------
    Conflict
        RUN-002 when it is no script's run, or its process lives.
    """
    run = runs.find_run(turn.connection, turn.project, command.run_id)
    if run.kind != "script":
        what = f"run {run.id[-6:]} is that of a {run.kind}; only one that start_run began can be resumed"
        raise Conflict("RUN-002", what, run=run.id)
    run, hold = runs.get_held(turn.connection, run.id)
    if not runs.is_ended(run) and hold.process_start and process_start(run.pid) != hold.process_start:
        run = lose_run(turn, run, f"process {run.pid} ended without a word")
    if not runs.is_ended(run):
        what = f"run {run.id[-6:]} goes on in process {run.pid} on {run.host}"
        raise Conflict("RUN-002", what, fix=f"mainspring runs cancel {run.id[-6:]}", run=run.id)
    tracking.check_tags(command.tags)
    start, lease = lease_of(turn, run.kind, command.host, command.pid)
    values = {
        "state": "running",
        "attempt": run.attempt + 1,
        "fence": run.fence + 1,
        "reason": f"resumed, it had {run.state}",
        "params": {**run.params, **command.params},
        "tags": {**run.tags, **command.tags},
        "provenance": command.provenance or run.provenance,
        "host": command.host,
        "pid": command.pid,
        "started_at": turn.now(),
    }
    gone = dict.fromkeys(("ended_at", "problem", "outputs", "cpu_s", "memory_bytes"))
    held = {"process_start": start, "lease_until": lease, "journal_offset": 0, "order": "keep"}
    runs.change_run(turn.connection, run, **values, **gone, **held)
    turn.notify(run.id)
    resumed = runs.find_run(turn.connection, turn.project, run.id)
    steps = series.read_positions(turn.connection, hold.seq) | artifacts.read_positions(turn.connection, hold.seq)
    return tracking.Resumed(resumed, steps)


@handles(tracking.TagRun, action="runs.tag", rehearsed=True)
def tag_run(turn: Turn, command: tracking.TagRun) -> Run:
    """Set and remove tags of a run.

    Raises
    ------
    Invalid
        STEP-009, LOG-002 for a tag that is none.
    """
    tracking.check_tags(command.tags)
    run = runs.find_run(turn.connection, turn.project, command.run_id)
    left = {name: value for name, value in run.tags.items() if name not in command.remove}
    tags = left | command.tags
    runs.change_run(turn.connection, run, tags=tags)
    run.tags = tags
    turn.notify(run.id)
    return run


@handles(tracking.ListArtifacts, action="runs.read", reads=True)
def list_artifacts(turn: Turn, command: tracking.ListArtifacts) -> list[tracking.Artifact]:
    """Answer with the artifacts of a run."""
    run = runs.find_run(turn.connection, turn.project, command.run_id)
    found = artifacts.list_artifacts(turn.connection, run.id)
    if not command.native:
        found += map(_show_file, runfiles.list_files(turn.connection, run.id))
    return [each for each in found if command.name in {None, each.name}]


@handles(tracking.PutProvenance, action="runs.start")
def put_provenance(turn: Turn, command: tracking.PutProvenance) -> str:
    """Keep what a process knows of itself; its environment apart, because many share it."""
    told, now = command.provenance, turn.now()
    if isinstance(told.environment, tracking.Environment):
        digest = provenances.put_body(turn.connection, turn.project, told.environment, now)
        told = msgspec.structs.replace(told, environment=digest)
    return provenances.put_body(turn.connection, turn.project, told, now)


@handles(tracking.GetProvenance, action="runs.read", reads=True)
def get_provenance(turn: Turn, command: tracking.GetProvenance) -> tracking.Provenance | None:
    """Answer with what the process of a run knew of itself."""
    return find_provenance(turn, runs.find_run(turn.connection, turn.project, command.run_id))


@handles(tracking.CompareRuns, action="runs.read", reads=True)
def compare_runs(turn: Turn, command: tracking.CompareRuns) -> tracking.Comparison:
    """Answer with what differs between two runs."""
    before, after = (_read_side(turn, each) for each in (command.before, command.after))
    return tracking.Comparison(before.run, after.run, compare(before, after))


def find_provenance(turn: Turn, run: Run) -> tracking.Provenance | None:
    """Return what the process of a run knew of itself; None when nothing was told."""
    if run.provenance is None:
        return None
    body = provenances.get_body(turn.connection, turn.project, run.provenance)
    if body is None:
        raise NotFound("HOME-010", f"what run {run.id} came from is not in the record", id=run.provenance)
    if isinstance(body["environment"], str):
        body["environment"] = provenances.get_body(turn.connection, turn.project, body["environment"])
    return msgspec.convert(body, tracking.Provenance)


def _show_file(file: File) -> tracking.Artifact:
    summary = f"file, {format_size(file.size_bytes)}"
    return tracking.Artifact(file.path, 0, file.time, Value(tracking.FILE, file.digest, file.size_bytes, summary))


def _read_side(turn: Turn, part: str) -> Side:
    run = runs.find_run(turn.connection, turn.project, part)
    # A hit did nothing itself: what its result came from is what the run before it did.
    source = runs.get_run(turn.connection, run.cached_from) if run.cached_from else run
    reads = list_reads(turn.connection, source.id, below=True)
    return Side(run, find_provenance(turn, run), reads)
