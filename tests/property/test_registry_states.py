"""Any order of acts on a registered model, by commands and MLflow's protocol: the record does what pages would.

STATES_SEED chooses other acts, STATES_TIMES makes so many times more of them, STATES_SHRINK looks for the
shortest ones that fail.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RULE_MARKER,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tests.support.access import HOME_USER, Person
from tests.support.homes import Desk
from tests.support.registers import Refused, Register
from tests.support.relays import HOME_TOKEN, Site

from mainspring.control import assets, deletions, needs
from mainspring.control.declarations import digest_body
from mainspring.domain import gates as gate_messages
from mainspring.domain import messages, records, registry, upkeep
from mainspring.domain.errors import MainspringError
from mainspring.store.homes import place_home
from mainspring.store.rows import add
from mainspring.store.tables import verdicts

SEED = int(os.environ.get("STATES_SEED", "20261122"))
MORE = int(os.environ.get("STATES_TIMES", "1"))
EXAMPLES, STEPS = 25, 40
PHASES = (Phase.generate, Phase.shrink) if "STATES_SHRINK" in os.environ else (Phase.generate,)
AT = "/api/2.0/mlflow"

numbers = st.integers(1, 3)
aliases = st.sampled_from(["champion", "champion", "Staging"])
people = st.sampled_from(["", "", "editor", "editor", "approver", "runner"])
reasons = st.sampled_from(["", " ", "it is needed"])
doors = st.sampled_from(["command", "mlflow"])


class Registers(RuleBasedStateMachine):
    """Versions, aliases, gates, verdicts, stages and deletions of one model, whatever it is called."""

    root = None

    @initialize()
    def open(self):
        shutil.rmtree(self.root / "home", ignore_errors=True)
        self.desk = Desk(place_home(self.root / "home"))
        self.site = Site(self.desk)
        self.people = {name: Person(self.desk, name, name) for name in ("runner", "editor", "approver")}
        self.model, self.name, self.names = Register(), "delays", 0
        self.first = {}
        for content in (0, 1):
            self.put("", content, more=False, lie=False)

    def teardown(self):
        if hasattr(self, "desk"):
            self.desk.close()

    # --- asking both ----------------------------------------------------------------------

    def ask(self, who, command, action, act):
        """Ask both for the same; return what each answered, or None when both refused."""
        return self.hold(self.send(who, command), who, action, act, command)

    def send(self, who, command):
        self.desk.clock.advance(1.0)
        try:
            if not who:
                return None, self.desk.ask(command, actor=HOME_USER)
            return None, self.people[who].ask(command)
        except MainspringError as fault:
            return fault.code, None

    def call(self, who, verb, path, **fields):
        """Ask at MLflow's door; return the code of ours that a refusal names."""
        self.desk.clock.advance(1.0)
        token = self.people[who].token if who else HOME_TOKEN
        given = {"params": fields} if verb == "GET" else {"json": fields}
        answer = self.site(verb, f"{AT}/{path}", token, **given)
        return (None if answer.status_code == 200 else answer.headers["mainspring-code"]), answer.json()

    def hold(self, answered, who, action, act, asked):
        code, answer = answered
        try:
            self.model.admit(who, action)
            wanted, told = None, act()
        except Refused as refused:
            wanted, told = refused.code, None
        assert code == wanted, f"{asked} by {who or 'the home'} was answered with {code}, the pages say {wanted}"
        return answer, told

    # --- versions -------------------------------------------------------------------------

    @rule(who=people, content=st.integers(0, 2), more=st.sampled_from([False] * 5 + [True]), lie=st.booleans())
    def put(self, who, content, more, lie):
        """Register content, or other files that claim to be it."""
        inside = b"lie" if lie else b"%d" % content
        files = {"weights": self.people[who].upload(inside) if who else self.desk.blobs.put(inside)}
        digest = f"content {content}"
        command = messages.PutVersion(
            kind="model", name=self.name, digest=digest, manifest=files, details={"of": content}, more=more
        )
        answer, version = self.ask(who, command, "assets.write", lambda: self.model.put(digest, files, more=more))
        if answer is not None:
            assert (answer.number, answer.manifest) == (version.number, version.files)
            self.first.setdefault(answer.number, (answer.id, answer.digest, answer.manifest))

    @rule(who=people, number=numbers, back=st.booleans())
    def delete(self, who, number, back):
        act = self.model.restore if back else self.model.delete
        verb = upkeep.RestoreVersions if back else upkeep.DeleteVersions
        self.ask(who, verb("model", f"{self.name}@{number}"), "assets.delete", lambda: act(number))

    @rule(who=people, number=numbers)
    def delete_over_mlflow(self, who, number):
        answered = self.call(who, "DELETE", "model-versions/delete", name=self.name, version=str(number))
        if not self.model.is_here(number):  # this door looks first, which everybody here may
            assert answered[0] == "MODEL-001"
            return
        act = self.model.delete_with_aliases
        self.hold(answered, who, "assets.delete", lambda: act(number), "model-versions/delete")

    @rule(who=people, back=st.booleans(), door=doors)
    def delete_all(self, who, back, door):
        act = self.model.restore_all if back else self.model.delete_all
        if door == "mlflow" and not back:
            answered = self.call(who, "DELETE", "registered-models/delete", name=self.name)
            self.hold(answered, who, "assets.delete", act, "registered-models/delete")
            return
        verb = upkeep.RestoreVersions if back else upkeep.DeleteVersions
        self.ask(who, verb("model", self.name, all=True), "assets.delete", act)

    @rule()
    def purge(self):
        self.ask("", upkeep.PurgeDeleted(before=self.desk.clock.now() + 60), "home.purge", self.model.purge)

    @rule(who=people)
    def rename(self, who):
        to = f"delays{self.names + 1}"
        answer, _ = self.ask(who, registry.RenameModel(self.name, to), "models.rename", self.model.check_name)
        if answer is not None:
            self.name, self.names = to, self.names + 1

    # --- aliases and gates ----------------------------------------------------------------

    @rule(who=people, number=numbers, alias=aliases, force=st.booleans(), reason=reasons)
    def move(self, who, number, alias, force, reason):
        command = messages.MoveAlias("model", self.name, alias, number, reason, force)
        self.ask(who, command, "aliases.move", lambda: self.model.move(who, number, alias, force=force, reason=reason))

    @rule(who=people, number=numbers, alias=aliases)
    def move_over_mlflow(self, who, number, alias):
        answered = self.call(who, "POST", "registered-models/alias", name=self.name, alias=alias, version=str(number))
        self.hold(answered, who, "aliases.move", lambda: self.model.move(who, number, alias), "registered-models/alias")

    @rule(who=people, alias=aliases, force=st.booleans(), reason=reasons)
    def drop(self, who, alias, force, reason):
        command = registry.DropAlias(self.name, alias, reason, force)
        self.ask(who, command, "aliases.move", lambda: self.model.drop(who, alias, force=force, reason=reason))

    @rule(who=people, alias=aliases)
    def drop_over_mlflow(self, who, alias):
        answered = self.call(who, "DELETE", "registered-models/alias", name=self.name, alias=alias)
        self.hold(answered, who, "aliases.move", lambda: self.model.drop(who, alias), "registered-models/alias")

    @rule(who=st.sampled_from(["", "approver", "editor"]), alias=aliases, rows=st.sampled_from([100, 200]))
    def guard(self, who, alias, rows):
        body = {"target": "late", "better": ["auc"], "min_rows": rows}
        gate = records.Declaration("gate", f"{self.name}->{alias}", body)
        changes = self.model.gates.get(alias) != digest_body(body)
        action = "gates.change" if changes else "declarations.apply"
        self.ask(who, messages.Apply(declarations=[gate]), action, lambda: self.model.guard(alias, digest_body(body)))

    @rule(who=people, alias=aliases, reason=reasons)
    def unguard(self, who, alias, reason):
        command = gate_messages.RemoveGate(self.name, alias, reason)
        self.ask(who, command, "gates.change", lambda: self.model.unguard(alias, reason))

    @rule(number=numbers, alias=aliases, passed=st.booleans())
    def judge(self, number, alias, passed):
        """A gate has run; its verdict is of the rules that are in force now."""
        rules = self.model.gates.get(alias, "")
        if not self.model.is_here(number):
            return

        def write(turn):
            ids = turn.new_id(), turn.new_id()
            told = records.Verdict(*ids, f"{self.name}@{number}", alias, None, "rows@1", passed, "", {}, rules=rules)
            add(turn.connection, verdicts, told)

        self.desk.call(write)
        if passed:
            self.model.verdicts.add((number, alias, rules))

    @rule(who=people, number=numbers, stage=st.sampled_from(["", "Staging", "Production"]), archive=st.booleans())
    def stage(self, who, number, stage, archive):
        command = registry.StageVersion(self.name, number, stage, archive)
        self.ask(who, command, "aliases.move", lambda: self.model.stage(number, stage, archive=archive))

    @rule(who=people, number=numbers, stage=st.sampled_from(["Staging", "Production"]), archive=st.booleans())
    def stage_over_mlflow(self, who, number, stage, archive):
        given = {"name": self.name, "version": str(number), "stage": stage, "archive_existing_versions": archive}
        answered = self.call(who, "POST", "model-versions/transition-stage", **given)
        act = self.model.stage
        self.hold(answered, who, "aliases.move", lambda: act(number, stage, archive=archive), "transition-stage")

    # --- what holds always ----------------------------------------------------------------

    @invariant()
    def the_record_is_the_pages(self):
        if not hasattr(self, "model"):
            return
        listed = self.desk.ask(messages.ListVersions(kind="model", name=self.name), actor=HOME_USER)
        assert [(each.number, each.digest, each.stage, each.manifest, set(each.aliases)) for each in listed] == [
            (each.number, each.digest, each.stage, each.files, self.model.aliases_of(each))
            for each in self.model.here()[::-1]
        ]
        for each in listed:  # whatever the pages say: what has a number never changes
            assert (each.id, each.digest, each.manifest) == self.first[each.number]
        in_force = self.desk.ask(gate_messages.ListGates(), actor=HOME_USER)
        assert {(each.model, each.alias): each.rules for each in in_force} == {
            (self.name, alias): rules for alias, rules in self.model.gates.items()
        }

    @invariant()
    def both_doors_tell_the_same(self):
        if not hasattr(self, "model"):
            return
        code, told = self.call("", "GET", "registered-models/get", name=self.name)
        assert code == (None if self.model.named else "MODEL-001")
        if code is None:
            shown = {each["alias"]: int(each["version"]) for each in told["registered_model"]["aliases"]}
            assert shown == self.model.shown()


@pytest.fixture
def root(tmp_path, monkeypatch):
    made = Path(tempfile.mkdtemp(prefix="ms-states-", dir="/dev/shm")) if os.access("/dev/shm", os.W_OK) else tmp_path
    monkeypatch.delenv("MAINSPRING_PROJECT", raising=False)
    yield made
    shutil.rmtree(made, ignore_errors=True)


ACTS = {name: act for name, act in vars(Registers).items() if hasattr(act, RULE_MARKER)}


def run(root, examples, acts=ACTS, phases=PHASES):
    """Let the machine do these acts alone."""
    left_out = {name: getattr(act, RULE_MARKER).function for name, act in ACTS.items() if name not in acts}
    chosen = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        phases=phases,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(seed(SEED)(type("Registers", (Registers,), {"root": root, **left_out})), settings=chosen)


@pytest.mark.timeout(120 * max(MORE, 2))
def test_a_registered_model_is_what_its_pages_say(root, capsys):
    with capsys.disabled():
        print(f" [seed {SEED}, {EXAMPLES * MORE} times {STEPS} acts] ", end="", flush=True)
    run(root, EXAMPLES * MORE)


def need_nothing(monkeypatch):
    monkeypatch.setattr(deletions, "find_version_need", lambda *_, **__: None)


def gate_no_move(monkeypatch):
    monkeypatch.setattr(assets, "allow_move", lambda *_, **__: "ungated")


def take_any_files(monkeypatch):
    monkeypatch.setattr(assets, "_has_files", lambda *_: True)


def delete_guarded_names(monkeypatch):
    monkeypatch.setattr(needs, "find_gate", lambda *_: None)


BREAKINGS = (
    (need_nothing, "move delete"),
    (gate_no_move, "move guard"),
    (take_any_files, "put delete"),
    (delete_guarded_names, "move guard delete_all"),
)


@pytest.mark.parametrize(("breaking", "acts"), BREAKINGS)
def test_a_record_that_is_broken_is_found(root, breaking, acts, monkeypatch):
    breaking(monkeypatch)
    assert set(acts.split()) <= set(ACTS)
    with pytest.raises(AssertionError):
        run(root, EXAMPLES, acts.split(), (Phase.generate,))
