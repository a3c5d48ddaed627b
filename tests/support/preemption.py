"""Two people at a rack of devices that there are not, and what they run there."""

import signal
import time
from pathlib import Path

import mainspring as ms
from mainspring.domain import access
from mainspring.domain.messages import GetSeries
from mainspring.domain.pools import AddPool
from mainspring.domain.records import Resources
from mainspring.sdk.client import Client
from mainspring.testing.engines import submit, until
from mainspring.tracking.codecs import load_value

RACK = Resources(cpus=0.5, gpus=1, pool="rack")


class Lab:
    """A rack of fake devices, in a home whose owner the client has started; each project in it is a tenant."""

    def __init__(self, client: Client, gpus: int) -> None:
        self.home = client.home
        self._client = client
        self._clients: dict[str, Client] = {}
        client.ask(AddPool(name="rack", url=f"local://rack?cpus=16&gpus={gpus}"))

    def of(self, project: str) -> Client:
        """Return the client of a project, which is made when first named."""
        if project not in self._clients:
            self._client.ask(access.AddProject(name=project))
            self._clients[project] = Client(self.home, project=project)
        return self._clients[project]

    def close(self) -> None:
        """Let the clients go."""
        for each in self._clients.values():
            each.close()


def count(folder: str, name: str) -> dict:
    """Count steps, each saved, until a file says that it is enough; tell of each begin and clean end."""
    place, total = Path(folder), {"sum": 0, "seen": []}
    saved = ms.checkpoint()
    first = saved.restore(total)
    tell(place / f"{name}.begun", first)
    try:
        step, done = first, False
        while not done:  # what was logged of a step and not saved is done again in any case
            total["sum"] += step
            total["seen"].append(step)
            ms.log(counted=step)
            saved.save(total, step=step)
            tell(place / f"{name}.saved", step)
            step += 1
            time.sleep(0.02)
            done = step >= 3 and (place / "enough").exists()
        return total
    finally:
        tell(place / f"{name}.left", step)


def hold(folder: str, name: str) -> str:
    """Save nothing, and go on until a file says that it is enough."""
    place = Path(folder)
    tell(place / f"{name}.begun", name)
    while not (place / "enough").exists():
        time.sleep(0.02)
    return name


def ignore(folder: str, name: str) -> str:
    """Do not hear the word to end, the first time; at the second be done at once."""
    place, before = Path(folder), (Path(folder) / f"{name}.begun").exists()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell(place / f"{name}.begun", name)
    while not before:
        time.sleep(0.02)
    return name


def pass_by(folder: str, name: str) -> str:
    """Leave a mark, and stay until a file lets it go."""
    place = Path(folder)
    tell(place / f"{name}.begun", name)
    while not (place / f"{name}.go").exists():
        time.sleep(0.02)
    return name


def tell(path: Path, word: object) -> None:
    """Append a line."""
    with path.open("a") as file:
        file.write(f"{word}\n")


def put(client, function, tmp_path, name, **facts):
    """Queue a call on the rack."""
    return submit(client, function, str(tmp_path), name, resources=RACK, **facts)


def wait_for_steps(path, count):
    """Wait until a program has told of so many."""
    for _ in until():
        if path.exists() and len(path.read_text().split()) >= count:
            break


def check_counted(client, run):
    """Each step was counted once, whatever happened on the way."""
    total = load_value(run.outputs, client.blobs, client.seal)
    points = [(step, value) for step, _, value in client.ask(GetSeries(run_id=run.id, key="counted"))]
    assert total["seen"] == [*range(len(total["seen"]))]
    assert total["sum"] == sum(total["seen"])
    assert points == [(step, float(step)) for step in total["seen"]]
