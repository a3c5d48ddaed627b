"""What clients were told, kept outside the record."""

from mainspring.domain import messages, records

RUNS = 12


class Ledger:
    """What a client was told, kept outside the record."""

    def __init__(self):
        self.begun = {}
        self.finished = {}

    def work(self, client, start, count=RUNS):
        """Begin and finish runs one after another, as a pipeline does."""
        for number in range(start, start + count):
            name = f"run{number}"
            run = client.ask(messages.BeginRun(kind="step", name=name)).run
            assert name not in self.begun
            self.begun[name] = run.id
            outputs = records.Value("json", client.blobs.put(name.encode()), len(name))
            done = client.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded", outputs=outputs))
            assert done.state == "succeeded"
            self.finished[name] = done.outputs.digest

    def check(self, client):
        """Compare with the record: every run once, every result there."""
        found = client.ask(messages.ListRuns(limit=1000))
        assert sorted(run.name for run in found) == sorted(self.begun)
        assert {run.name: run.id for run in found} == self.begun
        assert {run.name: run.outputs.digest for run in found if run.outputs} == self.finished
        for run in found:
            assert client.blobs.get(run.outputs.digest) == run.name.encode()
