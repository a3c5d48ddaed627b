"""Clients that write down what they ask and are told, for the history checker."""

import threading
import time

from sqlalchemy import select
from tests.support.histories import Call, Entry, Held, History, Seen, find_faults

from mainspring.domain import messages, records
from mainspring.domain.errors import MainspringError
from mainspring.store.engine import open_engine
from mainspring.store.tables import leases

WRITTEN = "written"
"""The kind of the runs that writers begin, so that they are told from those of pipelines."""


class Witness:
    """Writes the history of a record down as its clients see it; for several threads at once."""

    def __init__(self):
        self.calls: list[Call] = []
        self.seen: list[Seen] = []
        self.held: list[Held] = []
        self.refusals: list[str] = []

    @property
    def history(self):
        return History(list(self.calls), list(self.seen), list(self.held))

    def call(self, what, act, retry=()):
        """Have an effect, told as the text that `act` returns; a code of `retry` is asked again, by the same call."""
        begun = time.monotonic()
        while True:
            try:
                told = act()
            except MainspringError as error:
                assert error.fix, error  # noqa: PT017 - whatever is refused says what helps
                self.refusals.append(error.code)
                if error.code in retry:
                    time.sleep(0.05)
                    continue
                self.calls.append(Call(what, begun, time.monotonic(), None, error.code))
                return None
            self.calls.append(Call(what, begun, time.monotonic(), told))
            return told

    def see_runs(self, client, command=None):
        """Look at runs: their attempts, fences and states."""
        begun = time.monotonic()
        found = client.ask(command or messages.ListRuns(limit=10_000))
        ended = time.monotonic()
        for run in found:
            self.seen.append(Seen(f"run {run.id}", begun, ended, run.attempt, run.state))
            self.seen.append(Seen(f"fence {run.id}", begun, ended, run.fence))
        return found

    def see_versions(self, client, kind, name):
        """Look at the newest version of a name."""
        begun = time.monotonic()
        found = client.ask(messages.ListVersions(kind=kind, name=name))
        newest = max((version.number for version in found), default=0)
        self.seen.append(Seen(f"{kind} {name}", begun, time.monotonic(), newest))
        return found

    def see_leases(self, home):
        """Look at who has which lease: at this moment he may act under it."""
        engine = open_engine(home)
        begun = time.monotonic()
        with engine.connect() as connection:
            found = connection.execute(select(leases.c.name, leases.c.holder, leases.c.fence)).all()
        engine.dispose()
        ended = time.monotonic()
        for name, holder, fence in found:
            self.seen.append(Seen(f"lease {name}", begun, ended, fence))
            self.held.append(Held(name, holder, begun, ended, fence))
        return found

    def check(self, record=None):
        """Fail when the history, or the record against it, has a fault; return how much was looked at."""
        assert find_faults(self.history, record) == []
        return len(self.calls) + len(self.seen) + len(self.held)


class Writer(threading.Thread):
    """Begins and finishes runs one after another, as a pipeline does, until it has done `count` or is told to stop."""

    def __init__(self, witness, client, name, count=10**9, retry=()):
        super().__init__(name=name, daemon=True)
        self.witness = witness
        self.client = client
        self.count = count
        self.retry = retry
        self.done = 0
        self.stopped = threading.Event()
        self.failure = None

    def run(self):
        try:
            while self.done < self.count and not self.stopped.is_set():
                self.write(f"{self.name}.{self.done}")
                self.done += 1
        except BaseException as failure:
            self.failure = failure
            raise

    def write(self, name):
        """Begin a run and finish it with a result of its own."""
        begin_key, finish_key = f"begin {name}", f"finish {name}"
        run = messages.BeginRun(kind=WRITTEN, name=name)
        run_id = self.witness.call(begin_key, lambda: self.client.ask(run, key=begin_key).run.id, self.retry)
        if run_id is None:
            return
        content = name.encode()
        outputs = records.Value("json", self.client.blobs.put(content), len(content))
        end = messages.FinishRun(run_id=run_id, attempt=1, fence=1, state="succeeded", outputs=outputs)
        self.witness.call(finish_key, lambda: self.client.ask(end, key=finish_key).outputs.digest, self.retry)

    def end(self):
        """Have it stop after its present run, and fail as it failed."""
        self.stopped.set()
        self.join()
        assert self.failure is None, self.failure


def read_entries(client):
    """Return what writers have brought into the record; every result must be there, whole."""
    entries, page = [], ""
    while page is not None:
        answer = client.ask(messages.SearchRuns(f"kind = {WRITTEN}", limit=1000, page=page))
        page = answer.next
        for run in answer.runs:
            entries.append(Entry(f"begin {run.name}", run.id))
            if run.outputs is not None:
                assert client.blobs.get(run.outputs.digest) == run.name.encode()
                entries.append(Entry(f"finish {run.name}", run.outputs.digest))
    return entries
