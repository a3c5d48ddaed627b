"""Ten people share eight devices: who waits is told why, who is guaranteed gets his, and what gave way goes on.

    python examples/sharing/sharing.py

It makes a home of its own and a pool of eight devices that there are not, and prints what was asked and answered.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mainspring as ms

PEOPLE = ("anna", "ben", "cleo", "dan", "eva", "finn", "gus", "hana", "ida", "jon")
EPOCHS, EPOCH_S = 24, 0.25


@ms.step(cpus=0.1, gpus=1, pool="lab", cache=False)
def train(epochs: int, enough: str = "") -> dict[str, list[int]]:
    """Count epochs, and save each; with a file named, go on until it is there."""
    done: dict[str, list[int]] = {"epochs": []}
    saved = ms.checkpoint()
    epoch = saved.restore(done)
    while epoch < epochs or (enough and not Path(enough).exists()):
        time.sleep(EPOCH_S)
        done["epochs"].append(epoch)
        saved.save(done, step=epoch)
        epoch += 1
    return done


@contextlib.contextmanager
def acting_as(person: str) -> Iterator[None]:
    """Work in the project of a person, which is a tenant of the lab."""
    os.environ["MAINSPRING_PROJECT"] = person
    try:
        yield
    finally:
        os.environ["MAINSPRING_PROJECT"] = "default"


def tell(*words: str) -> None:
    """Run a command of Mainspring, and show it with what it prints."""
    print(f"\n$ mainspring {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "mainspring", *words], check=True)


def submit(person: str, epochs: int = EPOCHS, enough: str = "") -> ms.Future:
    """Queue a training of a person."""
    with acting_as(person):
        return train.submit(epochs, enough)


def why(person: str, run: ms.Future) -> None:
    """Ask why a run is where it is."""
    with acting_as(person):
        print(f"\n{person} asks: why {run.id[-6:]}")
        print("\n".join(f"    {line}" for line in ms.why(run.id).lines), flush=True)


def attempt_of(person: str, run: ms.Future) -> int:
    """Return at which attempt a run is."""
    with acting_as(person):
        return ms.Run(run.id).record.attempt


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for something, at most two minutes."""
    until = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.05)


def main() -> None:
    """Let ten people work."""
    tell("pools", "add", "lab", "local://lab?cpus=16&gpus=8")
    for person in PEOPLE:
        subprocess.run(
            [sys.executable, "-m", "mainspring", "projects", "add", person], check=True, stdout=subprocess.DEVNULL
        )
    tell("quotas", "set", "ida", "--guarantee", "gpus=2")
    tell("quotas", "set", "ben", "--limit", "gpus=1")
    print("\nanna starts eight trainings, one for each device of the lab")
    enough = Path(os.environ["MAINSPRING_HOME"]) / "enough"
    runs = [("anna", submit("anna", enough=str(enough))) for _ in range(8)]
    wait_until(lambda: all(state_of("anna", run) == "running" for _, run in runs))
    print("the others come: two trainings each of ben and ida, one of everybody else")
    later = [(person, submit(person, 4)) for person in PEOPLE[1:] for _ in range(1 + (person in {"ben", "ida"}))]
    ben, ida = (next(run for person, run in later if person == name) for name in ("ben", "ida"))
    why("ben", next(run for person, run in reversed(later) if person == "ben"))
    wait_until(lambda: any(attempt_of("anna", run) > 1 for _, run in runs))
    gone = next(run for _, run in runs if attempt_of("anna", run) > 1)
    why("anna", gone)
    why("ida", ida)
    why("ben", ben)
    enough.touch()
    runs += later
    for person, run in runs:
        with acting_as(person):
            run.result(timeout=300)
    why("anna", gone)
    print("\nperson  runs  attempts  seconds of devices lost  epochs, each once")
    for person in PEOPLE:
        with acting_as(person):
            mine = [ms.Run(run.id).record for who, run in runs if who == person]
            done = [run.result()["epochs"] for who, run in runs if who == person]
        assert all(epochs == [*range(len(epochs))] for epochs in done)
        lost = sum(each.lost_s for run in mine for each in run.attempts)
        tries = sum(run.attempt for run in mine)
        print(f"{person:7s} {len(mine):4d} {tries:9d} {lost:24.2f}  {sum(map(len, done))}", flush=True)
    tell("quotas")


def state_of(person: str, run: ms.Future) -> str:
    """Return the state of a run."""
    with acting_as(person):
        return ms.Run(run.id).state


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="sharing-", ignore_cleanup_errors=True) as folder:
        os.environ |= {"MAINSPRING_HOME": folder, "MAINSPRING_CALM_S": "2", "MAINSPRING_GRACE_S": "5"}
        try:
            main()
        finally:
            subprocess.run([sys.executable, "-m", "mainspring", "stop"], check=False, stdout=subprocess.DEVNULL)
