"""Any order of acts: the record does what its model does, on both databases, and a record that does not is found.

STATES_SEED chooses other acts, STATES_TIMES makes so many times more of them, STATES_SHRINK looks for the
shortest ones that fail.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RULE_MARKER, run_state_machine_as_test
from msgspec.structs import replace
from tests.support.homes import Desk
from tests.support.machine import States

from mainspring.control import commits, deletions, finishing, identity
from mainspring.control.turn import Turn
from mainspring.control.usecases import HANDLERS
from mainspring.domain import messages
from mainspring.store import runs
from mainspring.store.blobs import FolderBlobs
from mainspring.store.engine import open_engine
from mainspring.store.homes import make_private, place_home
from mainspring.store.runs import get_run
from mainspring.store.tables import metadata

SEED = int(os.environ.get("STATES_SEED", "20261121"))
EXAMPLES = {"sqlite": 40, "postgresql": 12}
MORE = int(os.environ.get("STATES_TIMES", "1"))
STEPS = 40
PHASES = (Phase.generate, Phase.shrink) if "STATES_SHRINK" in os.environ else (Phase.generate,)


class Place:
    """Where one empty record after the other is made: homes, and the names of their nodes."""

    def __init__(self, root, record, monkeypatch):
        self.shared = record == "postgresql"
        self.nodes = ["left", "right"] if self.shared else ["local"]
        self.root = root
        monkeypatch.setattr(commits, "_LEASE_S", 100_000.0)  # leases end when the test ends them
        if self.shared:
            self.homes = [self._make_home(root / name) for name in self.nodes]
            Desk(self.homes[0]).close()
            self.engine = open_engine(self.homes[0])

    def _make_home(self, root):
        make_private(root)
        (self.root / "blobs").mkdir(exist_ok=True)
        (root / "blobs").symlink_to(self.root / "blobs")
        return place_home(root)

    def fresh(self):
        if not self.shared:
            shutil.rmtree(self.root / "home", ignore_errors=True)
            return [place_home(self.root / "home")]
        for home in self.homes:
            home.audit_head.unlink(missing_ok=True)
        names = ", ".join(name for name in metadata.tables if name != "meta")
        with self.engine.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
        return self.homes

    def run(self, statement, values):
        if self.shared:
            with self.engine.begin() as connection:
                connection.execute(statement, values)


@pytest.fixture
def place(tmp_path, record, request, monkeypatch):
    root = Path(tempfile.mkdtemp(prefix="ms-states-", dir="/dev/shm")) if os.access("/dev/shm", os.W_OK) else tmp_path
    monkeypatch.delenv("MAINSPRING_PROJECT", raising=False)
    monkeypatch.setenv("MAINSPRING_REMOTE_CODE", "1")
    if record == "postgresql":
        monkeypatch.setenv("MAINSPRING_RECORD", request.getfixturevalue("database"))
    made = Place(root, record, monkeypatch)
    yield made
    if made.shared:
        made.engine.dispose()
    shutil.rmtree(root, ignore_errors=True)


ACTS = {name: act for name, act in vars(States).items() if hasattr(act, RULE_MARKER)}


def run(place, examples, acts=ACTS):
    """Let the machine do these acts alone."""
    left_out = {name: getattr(act, RULE_MARKER).function for name, act in ACTS.items() if name not in acts}
    machine = seed(SEED)(type("States", (States,), {"place": place, **left_out}))
    suppressed = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    chosen = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        phases=PHASES,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=suppressed,
    )
    run_state_machine_as_test(machine, settings=chosen)


@pytest.mark.timeout(120 * max(MORE, 2))
def test_the_record_is_its_model(place, record, capsys):
    examples = EXAMPLES[record] * MORE
    with capsys.disabled():
        print(f" [seed {SEED}, {examples} times {STEPS} acts on {record}] ", end="", flush=True)
    run(place, examples)


def take_any_fence(monkeypatch):
    kind = messages.FinishRun
    handler = HANDLERS[kind]

    def finish(turn, command):
        run = get_run(turn.connection, command.run_id)
        return handler(turn, replace(command, attempt=run.attempt, fence=run.fence))

    monkeypatch.setitem(HANDLERS, kind, finish)


def forget_keys(monkeypatch):
    monkeypatch.setattr(commits, "keep_answer", lambda *_: True)
    monkeypatch.setattr(commits, "_find_kept", lambda *_: None)


def believe_in_blobs(monkeypatch):
    monkeypatch.setattr(FolderBlobs, "exists", lambda *_: True)


def ask_nobody(monkeypatch):
    monkeypatch.setattr(Turn, "require", lambda *_: None)


def see_every_project(monkeypatch):
    monkeypatch.setattr(identity, "_check_runs", lambda *_: None)


def need_nothing(monkeypatch):
    monkeypatch.setattr(deletions, "find_version_need", lambda *_, **__: None)


def skip_the_audit(monkeypatch):
    monkeypatch.setattr(Turn, "audit", lambda *_, **__: None)


def change_what_has_ended(monkeypatch):
    monkeypatch.setattr(finishing, "check_run_transition", lambda *_, **__: None)
    monkeypatch.setattr(runs, "is_ended", lambda _: False)


def lease_to_all(monkeypatch):
    take = commits.take_lease
    monkeypatch.setattr(commits, "take_lease", lambda *asked: take(*asked) or 1)


BREAKINGS = (
    (take_any_fence, "submit place_run lease finish wait"),
    (forget_keys, "begin repeat"),
    (believe_in_blobs, "begin finish miss"),
    (ask_nobody, "grant begin put"),
    (see_every_project, "begin finish grant"),
    (need_nothing, "put move delete"),
    (skip_the_audit, "grant"),
    (change_what_has_ended, "begin finish cancel"),
)


def find_fault(place, breaking, acts, monkeypatch):
    """The acts find nothing in the record as it is, and something in one that is broken."""
    assert set(acts.split()) <= set(ACTS)
    run(place, 3, acts.split())
    breaking(monkeypatch)
    with pytest.raises(AssertionError):
        run(place, 100, acts.split())


@pytest.mark.parametrize(("breaking", "acts"), BREAKINGS)
@pytest.mark.parametrize("record", ["sqlite"], indirect=True)
def test_a_record_that_does_otherwise_is_found(place, breaking, acts, monkeypatch):
    find_fault(place, breaking, acts, monkeypatch)


@pytest.mark.parametrize("record", ["postgresql"], indirect=True)
def test_two_owners_that_lead_at_once_are_found(place, monkeypatch):
    find_fault(place, lease_to_all, "lead", monkeypatch)
