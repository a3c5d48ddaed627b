"""The record as pages of paper would have it: what each use case must answer, without a database.

Runs, versions and people are known by the identifiers that the real record gave them; everything
else is worked out here. An act that the record must refuse raises `Refused` and changes nothing.
"""

from dataclasses import dataclass, field

from mainspring.control.finishing import MOST_LOSSES
from mainspring.control.leases import LEASE_S
from mainspring.control.placement import START_S
from mainspring.domain.principals import ROLES
from mainspring.domain.states import TERMINAL
from mainspring.security.policy import ACTIONS

MISSING = {"dataset": "DATA-002", "model": "MODEL-001"}


class Refused(Exception):
    """The record must refuse with this code."""

    @property
    def code(self):
        return self.args[0]


@dataclass
class Run:
    project: str
    key: str | None
    parent: str | None
    node: str
    person: str | None = None
    queued: bool = False
    retries: int = 0
    state: str = "running"
    attempt: int = 1
    losses: int = 0
    failures: int = 0
    until: float | None = None
    worker: str = ""
    value: str | None = None
    source: str | None = None
    deletion: tuple | None = None
    purged: bool = False

    @property
    def ended(self):
        return self.state in TERMINAL


@dataclass
class Version:
    id: str
    number: int
    digest: str
    inputs: tuple
    writers: set = field(default_factory=set)
    deleted_at: float | None = None
    purged: bool = False


@dataclass
class Person:
    roles: dict = field(default_factory=dict)
    expires_at: float | None = None
    revoked: bool = False


class Record:
    """All pages. `clock` is read where the record reads it; times to wait are of its steady face."""

    def __init__(self, clock):
        self.clock = clock
        self.runs = {}
        self.versions = {}
        self.aliases = {}
        self.results = {}
        self.blobs = set()
        self.people = {}
        self.acts = 0
        self.holders = {}
        self.fences = {}

    # --- who may --------------------------------------------------------------------------

    def admit(self, person, action, project, runs=()):
        """Refuse a person, by the token, the role, and the runs that are named; the home's user may all."""
        if person is None:
            return
        known = self.people[person]
        if known.revoked:
            raise Refused("AUTH-004")
        if known.expires_at is not None and known.expires_at <= self.clock.now():
            raise Refused("AUTH-003")
        role = known.roles.get(project)
        if role is None:
            raise Refused("AUTH-007")
        if ROLES.index(role) < ROLES.index(ACTIONS[action].role):
            raise Refused("AUTH-005")
        if any(run in self.runs and self.runs[run].project != project for run in runs):
            raise Refused("RUN-001")

    def grant(self, person, project, role):
        self.people[person].roles[project] = role
        self.end_runs(person)
        self.acts += 1

    def revoke(self, person, project):
        if project not in self.people[person].roles:
            raise Refused("AUTH-014")
        del self.people[person].roles[project]
        self.end_runs(person)
        self.acts += 1

    def end_runs(self, person):
        """Nobody has runs where it could start none."""
        least = ROLES.index(ACTIONS["runs.start"].role)
        for run_id, run in self.runs.items():
            role = self.people[person].roles.get(run.project)
            if run.person == person and not run.ended and (role is None or ROLES.index(role) < least):
                self.cancel(run_id, run.project)

    # --- runs -----------------------------------------------------------------------------

    def check_parent(self, parent):
        if parent is not None and self.runs[parent].ended:
            raise Refused("RUN-002")

    def find_hit(self, project, key, *, cache):
        """Return the run whose result answers; one whose bytes are gone is forgotten."""
        source = self.results.get((project, key)) if cache and key is not None else None
        if source is not None and self.runs[source].value not in self.blobs:
            del self.results[project, key]
            return None
        return source

    def begin(self, run_id, run, source=None):
        self.runs[run_id] = run
        if source is not None:
            run.state, run.source, run.value = "succeeded", source, self.runs[source].value
        elif run.queued:
            run.state = "queued"
        else:
            run.until = self.clock.monotonic() + LEASE_S

    def place(self, run_id):
        run = self.runs[run_id]
        run.state, run.worker, run.until = "starting", "", self.clock.monotonic() + START_S

    def lease(self, run_id, worker, attempt):
        """Tell whether a worker with the token of an attempt gets the run."""
        run = self.runs[run_id]
        if attempt != run.attempt or run.state not in {"starting", "running"}:
            return False
        if run.state == "running":
            return run.worker == worker
        run.state, run.worker, run.until = "running", worker, self.clock.monotonic() + LEASE_S
        return True

    def beat(self, run_id, attempt):
        run = self.runs[run_id]
        if attempt != run.attempt:
            return "lost"
        if run.ended:
            return "cancel" if run.state == "cancelled" else "lost"
        run.until = self.clock.monotonic() + LEASE_S
        return "keep"

    def finish(self, run_id, attempt, state, value):
        run = self.runs[run_id]
        if attempt != run.attempt:
            raise Refused("RUN-005")
        if run.state == state:
            return
        if run.ended:
            raise Refused("RUN-005")
        if state == "failed" and run.queued and run.failures < run.retries:
            run.failures += 1
            self._requeue(run)
        elif run.state not in {"starting", "running"} and state == "succeeded":
            raise Refused("RUN-002")
        else:
            self._end(run_id, state, value)

    def find(self, run_id, project):
        run = self.runs[run_id]
        if run.project != project or run.deletion is not None:
            raise Refused("RUN-001")
        return run

    def shown(self, project):
        """Return the runs of a project that are not deleted, newest first."""
        return [(each, run) for each, run in self.runs.items() if run.project == project and run.deletion is None][::-1]

    def above(self, run_id):
        """Return a run and all above it."""
        return [] if run_id is None else [run_id, *self.above(self.runs[run_id].parent)]

    def below(self, run_id):
        """Return a run and all below it."""
        return [each for each in self.runs if run_id in self.above(each)]

    def delete_run(self, run_id, project):
        self.find(run_id, project)
        if not all(self.runs[each].ended for each in self.above(run_id) + self.below(run_id)):
            raise Refused("KEEP-002")
        for each in self.below(run_id):
            self.runs[each].deletion = self.runs[each].deletion or (self.clock.now(), project)
            self.results = {key: known for key, known in self.results.items() if known != each}
        self.acts += 1

    def restore_run(self, run_id, project):
        run = self.runs[run_id]
        if run.deletion is None or run.deletion[1] != project:
            raise Refused("KEEP-004")
        if run.purged:
            raise Refused("KEEP-003")
        at = run.deletion[0]
        for each in self.below(run_id):
            if self.runs[each].deletion is not None and self.runs[each].deletion[0] == at:
                self.runs[each].deletion = None
        self.acts += 1

    def cancel(self, run_id, project):
        if not self.find(run_id, project).ended:
            self._end(run_id, "cancelled")

    def expire(self, node):
        """Take back what nobody has spoken for, newest first."""
        now = self.clock.monotonic()
        late = [run_id for run_id, run in self.runs.items() if run.node == node and run.until and run.until < now]
        for run_id in sorted(late, reverse=True):
            self._lose(run_id)

    def adopt(self, node):
        for run in self.runs.values():
            if run.node == node and run.until is not None:
                run.until = self.clock.monotonic() + LEASE_S

    def take_over(self, dead, heir):
        for run_id in [run_id for run_id, run in self.runs.items() if run.node == dead and not run.ended][::-1]:
            if self.runs[run_id].state != "queued":
                self._lose(run_id)
            self.runs[run_id].node = heir

    def _lose(self, run_id):
        run = self.runs[run_id]
        if run.ended:
            return
        run.losses += 1
        if run.queued and run.losses <= MOST_LOSSES:
            self._requeue(run)
        else:
            self._end(run_id, "failed")

    def _requeue(self, run):
        run.state, run.attempt, run.until, run.worker = "queued", run.attempt + 1, None, ""

    def _end(self, run_id, state, value=None):
        run = self.runs[run_id]
        run.state, run.until, run.value = state, None, value
        if state == "succeeded" and run.key is not None and value is not None:
            self.results[run.project, run.key] = run_id
        for child_id, child in self.runs.items():
            if child.parent == run_id and not child.ended:
                self._end(child_id, "cancelled")

    # --- versions -------------------------------------------------------------------------

    def of(self, kind, project, name):
        return self.versions.setdefault((kind, project, name), [])

    def all_versions(self):
        return [version for versions in self.versions.values() for version in versions]

    def known(self, kind, project, name, digest):
        """Return the version that content would be: of what was purged only a dataset's comes back."""
        same = [each for each in self.of(kind, project, name) if each.digest == digest]
        first = min(same, key=lambda each: (each.deleted_at is not None, each.number), default=None)
        return None if first is not None and kind == "model" and first.purged else first

    def check_inputs(self, project, inputs):
        here = {each.id for (_, at, _), versions in self.versions.items() if at == project for each in versions}
        if not set(inputs) <= here:
            raise Refused("HOME-010")

    def put(self, kind, project, name, digest, inputs, writer, version_id):
        """Return the number of a version that is new, or there again."""
        version = self.known(kind, project, name, digest)
        if version is None:
            version = Version(version_id, len(self.of(kind, project, name)) + 1, digest, inputs)
            self.of(kind, project, name).append(version)
        version.deleted_at, version.purged = None, False
        if writer is not None:
            version.writers.add(writer)
        return version

    def get(self, kind, project, name, number=None, alias=None):
        there = [each for each in self.of(kind, project, name) if each.deleted_at is None]
        if alias is not None:
            there = [each for each in there if each.id == self.aliases.get((kind, project, name, alias))]
        elif number is not None:
            there = [each for each in there if each.number == number]
        if not there:
            raise Refused(MISSING[kind])
        return there[-1]

    def move(self, kind, project, name, alias, number):
        version = self.get(kind, project, name, number)
        if self.aliases.get((kind, project, name, alias)) != version.id:
            self.aliases[kind, project, name, alias] = version.id
            self.acts += kind == "model"
        return version

    def aliases_of(self, version):
        return tuple(sorted(key[3] for key, version_id in self.aliases.items() if version_id == version.id))

    def delete(self, project, name, number):
        version = self.get("model", project, name, number)
        writing = any(not self.runs[run_id].ended for writer in version.writers for run_id in self.above(writer))
        if writing or self.aliases_of(version):
            raise Refused("KEEP-002")
        version.deleted_at = self.clock.now()
        self.results = {key: run_id for key, run_id in self.results.items() if run_id not in version.writers}
        self.acts += 1

    def restore(self, project, name, number):
        version = next((each for each in self.of("model", project, name) if each.number == number), None)
        if version is None:
            raise Refused("MODEL-001")
        if version.deleted_at is None:
            return version
        if version.purged:
            raise Refused("KEEP-003")
        version.deleted_at = None
        self.acts += 1
        return version

    def purge(self, before):
        deleted = {each.id: (each, each.deleted_at) for each in self.all_versions() if each.deleted_at is not None}
        deleted |= {run_id: (run, run.deletion[0]) for run_id, run in self.runs.items() if run.deletion is not None}
        gone = {known: each for known, (each, at) in deleted.items() if at < before and not each.purged}
        for each in gone.values():
            each.purged = True
        self.acts += len(gone)
        return set(gone)

    # --- leases of owners -----------------------------------------------------------------

    def lead(self, name, owner):
        """Tell whether an owner holds a lease, or now takes it; its fence grows with each change of hands."""
        holder = self.holders.get(name)
        if holder not in {None, owner}:
            return False
        if self.fences.get(name, (None, 0))[0] != owner:
            self.fences[name] = (owner, self.fences.get(name, (None, 0))[1] + 1)
        self.holders[name] = owner
        return True
