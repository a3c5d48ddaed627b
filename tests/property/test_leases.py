"""Leases and fences: whatever happens in whatever order, the record does what the model does."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from tests.support.homes import Desk

from mainspring.control.finishing import MOST_LOSSES
from mainspring.control.leases import LEASE_S, expire_leases
from mainspring.domain import messages, records
from mainspring.domain.errors import Conflict
from mainspring.domain.states import TERMINAL
from mainspring.store import runs
from mainspring.store.homes import place_home

ENDS = ["succeeded", "failed", "cancelled"]


class Model:
    """One run, as a page of paper would have it."""

    def __init__(self, retries, queued):
        self.state = "queued" if queued else "running"
        self.attempt = 1
        self.can_requeue = queued
        self.retries = retries
        self.losses = 0
        self.failures = 0
        self.lease_until = None
        self.result = None

    def requeue(self):
        self.state, self.attempt, self.lease_until = "queued", self.attempt + 1, None


class Leases(RuleBasedStateMachine):
    """Workers come late, twice, never; the owner takes runs back; users cancel."""

    ids = Bundle("ids")

    @initialize()
    def open(self):
        self.folder = tempfile.TemporaryDirectory()
        self.desk = Desk(place_home(Path(self.folder.name) / "home"))
        self.models = {}

    def teardown(self):
        if hasattr(self, "desk"):
            self.desk.close()
            self.folder.cleanup()

    @rule(target=ids)
    def begin(self):
        run = self.desk.ask(messages.BeginRun(kind="step", name="inline")).run
        self.models[run.id] = Model(0, queued=False)
        self.models[run.id].lease_until = self.desk.clock.steady + LEASE_S
        return run.id

    @rule(target=ids, retries=st.integers(0, 2))
    def submit(self, retries):
        call = records.Call(payload="0" * 64)
        spec = messages.RunSpec(kind="step", name="queued", call=call, retries=retries)
        (run,) = self.desk.ask(messages.SubmitRuns(runs=[spec]))
        self.models[run.id] = Model(retries, queued=True)
        return run.id

    @rule(run_id=ids)
    def lease(self, run_id):
        model = self.models[run_id]
        if model.state == "queued":
            until = self.desk.clock.steady + LEASE_S

            def take(turn):
                run = runs.get_run(turn.connection, run_id)
                assert runs.change_run(turn.connection, run, state="running", lease_until=until)

            self.desk.call(take)
            model.state, model.lease_until = "running", until

    @rule(run_id=ids, behind=st.integers(0, 2))
    def heartbeat(self, run_id, behind):
        model = self.models[run_id]
        attempt = model.attempt - behind
        orders = self.desk.ask(messages.Heartbeat(leases=[(run_id, attempt, attempt)])).orders
        live = model.state not in TERMINAL
        if behind:
            assert orders == {run_id: "lost"}
        else:
            assert orders == {run_id: "keep" if live else "cancel" if model.state == "cancelled" else "lost"}
            if live:
                model.lease_until = self.desk.clock.steady + LEASE_S

    @rule(run_id=ids, behind=st.integers(0, 2), state=st.sampled_from(ENDS), content=st.integers(0, 3))
    def finish(self, run_id, behind, state, content):
        model = self.models[run_id]
        attempt = model.attempt - behind
        outputs = records.Value("json", f"{content:064x}", 1) if state == "succeeded" else None
        command = messages.FinishRun(run_id=run_id, attempt=attempt, fence=attempt, state=state, outputs=outputs)
        stale = behind or (model.state in TERMINAL and model.state != state)
        never = model.state == "queued" and state == "succeeded"
        assert self.refusal(command) == ("RUN-005" if stale else "RUN-002" if never else None)
        if stale or never:
            return
        if model.state in TERMINAL:
            return  # told twice; the first result stays
        if state == "failed" and model.can_requeue and model.failures < model.retries:
            model.failures += 1
            model.requeue()
        else:
            model.state, model.result = state, outputs

    def refusal(self, command):
        try:
            self.desk.ask(command)
        except Conflict as error:
            return error.code
        return None

    @rule(seconds=st.sampled_from([0.0, 1.0, LEASE_S - 1, LEASE_S + 1]), jump=st.sampled_from([0, 86_400, -86_400]))
    def wait(self, seconds, jump):
        self.desk.clock.advance(seconds)
        self.desk.clock.time += jump
        self.desk.call(expire_leases)
        for model in self.models.values():
            late = model.lease_until is not None and model.lease_until < self.desk.clock.steady
            if model.state not in TERMINAL and late:
                model.losses += 1
                if model.can_requeue and model.losses <= MOST_LOSSES:
                    model.requeue()
                else:
                    model.state = "failed"

    @rule(run_id=consumes(ids))
    def cancel(self, run_id):
        self.desk.ask(messages.CancelRuns(ids=[run_id]))
        model = self.models[run_id]
        if model.state not in TERMINAL:
            model.state = "cancelled"

    @invariant()
    def the_record_is_the_model(self):
        if not getattr(self, "models", None):
            return
        found = {run.id: run for run in self.desk.ask(messages.ListRuns(limit=1000))}
        assert found.keys() == self.models.keys()
        for run_id, model in self.models.items():
            run = found[run_id]
            assert (run.state, run.attempt, run.fence) == (model.state, model.attempt, model.attempt)
            assert run.outputs == model.result
            assert (run.ended_at is not None) == (run.state in TERMINAL)
            assert run.reason or run.state != "queued"


TestLeases = Leases.TestCase
TestLeases.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
