"""Drives a record and the model of it through the same acts, and holds one against the other after each."""

import itertools

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule
from sqlalchemy import text
from tests.support import model
from tests.support.access import HOME_USER
from tests.support.homes import Desk, ManualClock, SeededRandomness
from tests.support.model import Refused

from mainspring.control import leases
from mainspring.control.commits import Ask
from mainspring.control.placement import close_pools
from mainspring.control.turn import NODE_LEASE
from mainspring.domain import access, messages, records, transfers, upkeep
from mainspring.domain.errors import MainspringError
from mainspring.domain.principals import Principal
from mainspring.domain.states import TERMINAL
from mainspring.domain.wire import decode_answer
from mainspring.security.audit import verify
from mainspring.security.tokens import digest_token
from mainspring.store import calls, runs
from mainspring.store.leases import read_lease

PROJECTS = ("default", "air")
PEOPLE = ("anna", "ben")
NAMES = {"dataset": "orders", "model": "delays"}
NOBODY = Principal("nobody", "user")

people = st.sampled_from([None, None, None, *PEOPLE])
projects = st.sampled_from(["default", "default", "default", "air"])
kinds = st.sampled_from(sorted(NAMES))
numbers = st.integers(1, 3)
contents = st.integers(0, 1)
keys = st.sampled_from(["a", "a", "b", None])
caches = st.sampled_from([True, True, True, False])
owners = st.integers(0, 1)
"""Which of the owners is asked; where there is one, it is that."""


class States(RuleBasedStateMachine):
    """Everything that changes runs, versions, aliases, roles and leases, in any order, by several owners.

    `place.fresh()` gives the homes of an empty record; `place.shared` tells whether owners share it.
    """

    place = None
    run_ids = Bundle("run_ids")

    # --- the record and its owners --------------------------------------------------------

    @initialize(target=run_ids)
    def open(self):
        self.clock = ManualClock()
        self.model = model.Record(self.clock)
        self.numbers = itertools.count(1)
        self.homes = self.place.fresh()
        self.desks = [self.open_desk(home, at) for at, home in enumerate(self.homes)]
        self.owner_ids = [next(self.numbers) for _ in self.desks]
        self.kept, self.tokens, self.seen, self.version_ids = [], {}, {}, []
        for desk in self.desks:
            desk.call(lambda turn: turn.notify("nothing"))
            desk.call(lambda turn: turn.emit("opened", "test"))  # what writes is known to live
        self.ask(access.AddProject(name="air"))
        for name in PEOPLE:
            self.ask(access.AddUser(name=name, role="editor"))
            self.model.people[name] = model.Person({"default": "editor"})
            self.model.acts += 2
            self.issue(name, None)
        self.model.acts += 1
        shared = {"person": None, "project": "default", "key": "a", "cache": False, "parent": None, "lost": False}
        begun = [self.submit(**shared, who=who, retries=1) for who in (0, 1)]
        return multiple(*begun, self.begin(**shared, who=0))  # most acts are about runs

    def open_desk(self, home, at):
        desk = Desk(home, self.place.nodes[at])
        desk.clock = desk._clock = self.clock
        desk._randomness = SeededRandomness(next(self.numbers))
        return desk

    def teardown(self):
        for desk in getattr(self, "desks", ()):
            desk.close()
            close_pools(desk.home)

    def desk(self, who):
        return self.desks[who % len(self.desks)]

    def node(self, who):
        return self.place.nodes[who % len(self.desks)]

    # --- asking both ----------------------------------------------------------------------

    def send(self, who, person, project, key, command):
        """Ask the record; return the code of its refusal, or None, and the encoded answer."""
        actor = HOME_USER if person is None else NOBODY
        token = "" if person is None else self.tokens[person]
        ask = Ask(command, actor, key, project=project, token=token)
        (outcome,), _ = self.desk(who).run([ask])
        if isinstance(outcome, MainspringError):
            return outcome.code, b""
        return None, outcome.body

    def ask(self, command, act=lambda: None, *, person=None, project="default", action="", named=(), who=0, lost=False):
        """Ask both for the same; return the record's answer, or None when both refused.

        `act` is the model's part. With `lost`, the reply does not arrive, and the client repeats itself at
        another owner.
        """
        self.clock.advance(0.001)
        try:
            self.model.admit(person, action, project, named)
            act()
            wanted = None
        except Refused as refused:
            wanted = refused.code
        key = f"key {next(self.numbers)}" if not isinstance(command, access.IssueToken) else ""
        code, body = self.send(who, person, project, key, command)
        assert code == wanted, f"{command} was answered with {code}, the model says {wanted}"
        if code is not None:
            return None
        if lost and key:
            assert self.send(who + 1, person, project, key, command) == (None, body)
        if key:
            self.kept.append((person, project, key, command, action, body))
        return decode_answer(body, type(command))

    @rule(data=st.data(), who=owners)
    def repeat(self, data, who):
        """A client that lost the reply repeats its request, now or much later."""
        person, project, key, command, action, body = data.draw(st.sampled_from(self.kept))
        wanted = None
        try:
            self.model.admit(person, action, project)
        except Refused as refused:
            wanted = refused.code
        assert self.send(who, person, project, key, command) == (wanted, b"" if wanted else body)

    @rule(data=st.data(), who=owners)
    def clash(self, data, who):
        """A key of another request is refused, and nothing comes of it."""
        _, project, key, *_ = data.draw(st.sampled_from([each for each in self.kept if each[0] is None]))
        other = messages.BeginRun(kind="step", name="another")
        assert self.send(who, None, project, key, other) == ("API-011", b"")

    # --- time and owners ------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, leases.LEASE_S - 1, leases.LEASE_S + 1, 40.0]), who=owners)
    def wait(self, seconds, who):
        self.clock.advance(seconds)
        self.model.expire(self.node(who))
        self.desk(who).call(leases.expire_leases)

    @rule(off_s=st.sampled_from([0.0, 86_400.0, -86_400.0, 4_000.0]))
    def jump(self, off_s):
        """The wall clock is set; nothing that waits, and no answer that is kept, may care."""
        self.clock.time = ManualClock().now() - ManualClock().steady + self.clock.steady + off_s

    @rule(who=owners)
    def forget(self, who):
        """No answer of the last hour is forgotten."""
        self.desk(who).call(leases.forget_old_answers)

    @rule(who=owners)
    def reopen(self, who):
        """An owner is closed, and its successor takes its work on."""
        at = who % len(self.desks)
        self.desks[at].close()
        self.desks[at] = self.open_desk(self.homes[at], at)
        self.owner_ids[at] = next(self.numbers)
        self.desks[at].call(leases.adopt)
        self.model.adopt(self.place.nodes[at])

    @precondition(lambda self: self.place.shared)
    @rule(who=owners)
    def lose_owner(self, who):
        """An owner is gone for good, and another takes its runs over; later it comes back."""
        self.desks[who].call(lambda turn: turn.emit("living", "test"))
        self.desks[who].close()
        self.lapse(NODE_LEASE + self.node(who))
        self.model.take_over(self.node(who), self.node(1 - who))
        self.desk(1 - who).call(leases.take_over)
        self.reopen(who)

    @rule(who=owners, name=st.sampled_from(["labels", "sweep"]), lapsed=st.booleans())
    def lead(self, who, name, lapsed):
        """One owner at a time does what is done alone."""
        owner, done = self.owner_ids[who % len(self.desks)], []
        if lapsed:
            self.lapse(name)
            self.model.holders[name] = None
        self.desk(who).call(done.append, lease=name)
        assert bool(done) == (self.model.lead(name, owner) if self.place.shared else True)
        if self.place.shared:
            found = []
            self.desk(who).call(lambda turn: found.append(read_lease(turn.connection, name)), writes=False)
            assert found[0].fence == self.model.fences[name][1]

    def lapse(self, name):
        statement = text("UPDATE leases SET expires_at = 0 WHERE name = :name")
        self.place.run(statement, {"name": name})

    # --- runs -----------------------------------------------------------------------------

    @rule(target=run_ids, person=people, project=projects, who=owners, key=keys, cache=caches,
          parent=st.none() | st.none() | run_ids, lost=st.booleans())  # fmt: skip
    def begin(self, person, project, who, key, cache, parent, lost):
        command = messages.BeginRun(kind="step", name="fit", key=key, cache=cache, parent_id=parent)
        run = model.Run(project, key, parent, self.node(who), person)
        return self._begin(command, run, person, who, lost, lambda answer: answer.run, cache)

    @rule(target=run_ids, person=people, project=projects, who=owners, key=keys, cache=caches,
          parent=st.none() | st.none() | run_ids, retries=st.integers(0, 2), lost=st.booleans())  # fmt: skip
    def submit(self, person, project, who, key, cache, parent, retries, lost):
        call = records.Call(payload="0" * 64)
        self.vouch(person, project, call.payload)
        spec = messages.RunSpec(
            kind="step", name="fit", call=call, key=key, cache=cache, parent_id=parent, retries=retries
        )
        run = model.Run(project, key, parent, self.node(who), person, queued=True, retries=retries)
        command = messages.SubmitRuns(runs=[spec])
        begun = self._begin(command, run, person, who, lost, lambda answer: answer[0], cache)
        self.model.acts += person is not None and any(each is run for each in self.model.runs.values())
        return begun

    def _begin(self, command, run, person, who, lost, read, cache):
        named = [run.parent] if run.parent else []
        asked = {"person": person, "project": run.project, "action": "runs.start", "named": named}
        answer = self.ask(command, lambda: self.model.check_parent(run.parent), **asked, who=who, lost=lost)
        if answer is None:
            return multiple()
        found = read(answer)
        source = self.model.find_hit(run.project, run.key, cache=cache)
        assert found.cached_from == source
        self.model.begin(found.id, run, source)
        return found.id

    @rule(run_id=run_ids, who=owners)
    def place_run(self, run_id, who):
        """What the owner's loop does when there is room."""
        if self.model.runs[run_id].state != "queued":
            return

        def place(turn):
            run = runs.get_run(turn.connection, run_id)
            until = turn.clock.monotonic() + leases.LEASE_S * 3
            assert runs.change_run(turn.connection, run, state="starting", lease_until=until)
            calls.place(turn.connection, run_id, digest_token(f"{run_id}-{run.attempt}-token"), turn.now())

        self.desk(who).call(place)
        self.model.place(run_id)

    @rule(run_id=run_ids, worker=st.sampled_from(["w1", "w2"]), behind=st.integers(0, 1), who=owners)
    def lease(self, run_id, worker, behind, who):
        run = self.model.runs[run_id]
        attempt = run.attempt - behind
        command = messages.LeaseRun(worker_id=worker, pid=0, token=f"{run_id}-{attempt}-token")
        got = self.ask(command, who=who).run is not None
        assert got == (run.queued and self.model.lease(run_id, worker, attempt))

    @rule(run_id=run_ids, behind=st.integers(0, 1), who=owners)
    def beat(self, run_id, behind, who):
        attempt = self.model.runs[run_id].attempt - behind
        told = self.ask(messages.Heartbeat(leases=[(run_id, attempt, attempt)]), who=who)
        assert told.orders == {run_id: self.model.beat(run_id, attempt)}

    @rule(run_id=run_ids, person=people, project=projects, behind=st.sampled_from([0, 0, 0, 0, 1]), content=contents,
          state=st.sampled_from(["succeeded", "succeeded", "failed"]), who=owners, lost=st.booleans())  # fmt: skip
    def finish(self, run_id, person, project, behind, content, state, who, lost):
        attempt = self.model.runs[run_id].attempt - behind
        value = self.put_blob(content) if state == "succeeded" else None
        self.vouch(person, project, value)
        outputs = value and records.Value("json", value, 1)
        command = messages.FinishRun(run_id=run_id, attempt=attempt, fence=attempt, state=state, outputs=outputs)
        asked = {"person": person, "project": project, "action": "runs.report", "named": [run_id]}
        self.ask(command, lambda: self.model.finish(run_id, attempt, state, value), **asked, who=who, lost=lost)

    @rule(run_id=run_ids, person=people, project=projects, who=owners, lost=st.booleans())
    def cancel(self, run_id, person, project, who, lost):
        asked = {"person": person, "project": project, "action": "runs.cancel", "named": [run_id]}
        command = messages.CancelRuns(ids=[run_id])
        self.ask(command, lambda: self.model.cancel(run_id, project), **asked, who=who, lost=lost)

    @rule(run_id=run_ids, person=people, project=projects, who=owners, lost=st.booleans(), back=st.booleans())
    def delete_run(self, run_id, person, project, who, lost, back):
        act = self.model.restore_run if back else self.model.delete_run
        command = upkeep.RestoreRuns(ids=[run_id]) if back else upkeep.DeleteRuns(ids=[run_id])
        asked = {"person": person, "project": project, "action": "runs.delete", "named": [run_id]}
        self.ask(command, lambda: act(run_id, project), **asked, who=who, lost=lost)

    @rule(target=run_ids, at=st.integers(0, 9), lost=st.booleans(), who=owners)
    def miss(self, at, lost, who):
        """A call whose kept result has lost its bytes runs again."""
        kept = sorted(key for key, run_id in self.model.results.items() if self.model.runs[run_id].value)
        if not kept:
            return multiple()
        project, key = kept[at % len(kept)]
        value = self.model.runs[self.model.results[project, key]].value
        if value in self.model.blobs:
            self.desk(0).blobs.path(value).unlink()
            self.model.blobs.discard(value)
        return self.begin(person=None, project=project, who=who, key=key, cache=True, parent=None, lost=lost)

    def vouch(self, person, project, digest):
        """Have it known that a person has shown these bytes."""
        if person is not None and digest is not None:
            upload = transfers.NoteUpload(digest=digest, size_bytes=1, holder=f"user:{person}")
            self.desk(0).ask(upload, actor=HOME_USER, project=project)

    def put_blob(self, content):
        digest = self.desk(0).blobs.put(b"%d" % content)
        self.model.blobs.add(digest)
        return digest

    # --- versions -------------------------------------------------------------------------

    @rule(kind=kinds, person=people, project=projects, digest=numbers, inputs=st.lists(st.integers(0, 9), max_size=2),
          writer=st.none() | run_ids, who=owners, lost=st.booleans())  # fmt: skip
    def put(self, kind, person, project, digest, inputs, writer, who, lost):
        name, digest = NAMES[kind], f"d{digest}"
        inputs = tuple(sorted({self.version_ids[at % len(self.version_ids)] for at in inputs if self.version_ids}))
        command = messages.PutVersion(
            kind=kind, name=name, digest=digest, manifest={}, details={"of": digest}, inputs=inputs, run_id=writer
        )

        def check():
            if self.model.known(kind, project, name, digest) is None:
                self.model.check_inputs(project, inputs)

        asked = {"person": person, "project": project, "action": "assets.write", "named": [writer] if writer else []}
        answer = self.ask(command, check, **asked, who=who, lost=lost)
        if answer is not None:
            version = self.model.put(kind, project, name, digest, inputs, writer, answer.id)
            assert (answer.id, answer.number, answer.digest) == (version.id, version.number, digest)
            self.version_ids += [] if answer.id in self.version_ids else [answer.id]

    @rule(kind=kinds, person=people, project=projects, who=owners,
          named=st.none() | numbers | st.sampled_from(["best", "old"]))  # fmt: skip
    def get(self, kind, person, project, named, who):
        reference = NAMES[kind] if named is None else f"{NAMES[kind]}@{named}"
        found = []

        def act():
            number, alias = (named, None) if isinstance(named, int) else (None, named)
            found.append(self.model.get(kind, project, NAMES[kind], number, alias))

        command = messages.GetVersion(kind=kind, reference=reference)
        answer = self.ask(command, act, person=person, project=project, action="assets.read", who=who)
        assert answer is None or (answer.id, answer.number) == (found[0].id, found[0].number)

    @rule(kind=kinds, person=people, project=projects, number=numbers, alias=st.sampled_from(["best", "old"]),
          who=owners, lost=st.booleans())  # fmt: skip
    def move(self, kind, person, project, number, alias, who, lost):
        command = messages.MoveAlias(kind=kind, name=NAMES[kind], alias=alias, number=number)
        asked = {"person": person, "project": project, "action": "aliases.move"}
        self.ask(
            command, lambda: self.model.move(kind, project, NAMES[kind], alias, number), **asked, who=who, lost=lost
        )

    @rule(person=people, project=projects, number=numbers, who=owners, lost=st.booleans(), back=st.booleans())
    def delete(self, person, project, number, who, lost, back):
        act, verb = (self.model.restore, upkeep.RestoreModel) if back else (self.model.delete, upkeep.DeleteModel)
        asked = {"person": person, "project": project, "action": "assets.delete"}
        self.ask(
            verb(reference=f"delays@{number}"), lambda: act(project, "delays", number), **asked, who=who, lost=lost
        )

    @rule(ago_s=st.sampled_from([0.0, 5.0]), who=owners, lost=st.booleans())
    def purge(self, ago_s, who, lost):
        gone = []
        before = self.clock.now() - ago_s
        command = upkeep.PurgeDeleted(before=before)
        told = self.ask(command, lambda: gone.extend(self.model.purge(before)), who=who, lost=lost)
        assert {each.id for each in told} == set(gone)

    # --- people ---------------------------------------------------------------------------

    @rule(name=st.sampled_from(PEOPLE), project=projects, role=st.sampled_from(["viewer", "runner", "editor", None]),
          who=owners, lost=st.booleans())  # fmt: skip
    def grant(self, name, project, role, who, lost):
        if role is None:
            command, act = access.RevokeRole(name=name), lambda: self.model.revoke(name, project)
        else:
            command, act = access.GrantRole(name=name, role=role), lambda: self.model.grant(name, project, role)
        self.ask(command, act, project=project, who=who, lost=lost)

    @rule(name=st.sampled_from(PEOPLE), expires_s=st.none() | st.just(20.0))
    def issue(self, name, expires_s):
        issued = self.ask(access.IssueToken(principal=name, expires_s=expires_s))
        self.tokens[name] = issued.token
        person = self.model.people[name]
        person.expires_at = None if expires_s is None else self.clock.now() + expires_s
        person.revoked = False
        self.model.acts += 1

    @rule(name=st.sampled_from(PEOPLE), who=owners)
    def revoke_token(self, name, who):
        if not self.model.people[name].revoked:
            self.ask(access.RevokeToken(id=self.tokens[name].split("_")[1]), who=who)
            self.model.people[name].revoked = True
            self.model.acts += 1

    @rule(person=st.sampled_from(PEOPLE), project=projects, run_id=run_ids, who=owners)
    def look(self, person, project, run_id, who):
        """A principal sees its projects only."""
        asked = {"person": person, "project": project, "action": "runs.read", "who": who}
        listed = self.ask(messages.ListRuns(limit=1000), **asked)
        if listed is not None:
            assert [run.id for run in listed] == [known for known, _ in self.model.shown(project)]
        self.ask(messages.GetRun(id=run_id), lambda: self.model.find(run_id, project), **asked)

    # --- what holds always ----------------------------------------------------------------

    @invariant()
    def the_record_is_the_model(self):
        for project in PROJECTS if hasattr(self, "desks") else ():
            commands = [messages.ListRuns(limit=1000), messages.GetStatus()]
            commands += [messages.ListVersions(kind=kind, name=name) for kind, name in NAMES.items()]
            outcomes, _ = self.desk(0).run([Ask(command, HOME_USER, project=project) for command in commands])
            answers = zip(outcomes, commands, strict=True)
            found, status, *versions = [decode_answer(each.body, type(command)) for each, command in answers]
            self.compare_runs(project, found, status.runs)
            for (kind, name), listed in zip(NAMES.items(), versions, strict=True):
                wanted = [each for each in self.model.of(kind, project, name) if each.deleted_at is None][::-1]
                assert [(each.id, each.number, each.digest, each.aliases) for each in listed] == [
                    (each.id, each.number, each.digest, self.model.aliases_of(each)) for each in wanted
                ]
                assert all(each.details == {"of": each.digest} for each in listed)

    def compare_runs(self, project, found, counts):
        wanted = self.model.shown(project)
        assert [run.id for run in found] == [run_id for run_id, _ in wanted]
        for run, (_, known) in zip(found, wanted, strict=True):
            assert (run.state, run.attempt, run.fence) == (known.state, known.attempt, known.attempt), (run, known)
            assert (run.outputs and run.outputs.digest, run.cached_from) == (known.value, known.source)
            assert (run.ended_at is not None) == known.ended
            self.never_goes_back(run)
        states = [run.state for _, run in wanted]
        assert counts == {state: states.count(state) for state in states}

    def never_goes_back(self, run):
        """Whatever the model says: a fence only grows, and an end stays as it is."""
        fence, state, outputs = self.seen.get(run.id, (0, "", None))
        assert run.fence >= fence
        if state in TERMINAL:
            assert (run.fence, run.state, run.outputs) == (fence, state, outputs)
        self.seen[run.id] = (run.fence, run.state, run.outputs)

    @invariant()
    def the_audit_holds(self):
        if hasattr(self, "desks"):
            asks = [Ask(command, HOME_USER) for command in (access.ListAudit(), access.GetAuditHeads())]
            (entries, heads), _ = self.desk(0).run(asks)
            entries = decode_answer(entries.body, access.ListAudit)
            heads = decode_answer(heads.body, access.GetAuditHeads)
            assert verify(entries, access.Heads(heads.record, None)).breaches == ()
            assert len(entries) == self.model.acts
