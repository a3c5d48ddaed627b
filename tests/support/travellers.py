"""Steps that are sent to a home which has none of this code; what they need beside themselves comes along."""

import time
from pathlib import Path

import mainspring as ms


class Opaque:
    """Has no safe format of its own, so it is pickled."""

    def __init__(self, value):
        self.value = value


@ms.step
def double(number: int) -> int:
    """Double, with a helper that only this function imports."""
    from tests.support.packed.scales import scale

    return scale(number, 2)


@ms.step
def place(name: str) -> dict:
    """Tell where the code and its process are, and leave a file there."""
    Path("left.txt").write_text(name)
    return {
        "file": __file__,
        "folder": str(Path.cwd()),
        "files": sorted(each.name for each in Path.cwd().iterdir()),
    }


@ms.step
def linger() -> None:
    """Go on until it is told to end."""
    Path("left.txt").write_text("here")
    while True:
        time.sleep(0.01)


@ms.step
def nest(number: int) -> int:
    """Call the other step where this one runs, and have it run in another worker."""
    return double(number) + double.submit(number + 1).result()


@ms.step
def wrap(number: int) -> Opaque:
    """Return what only pickle can write."""
    return Opaque(number)


@ms.step
def open_up(opaque: Opaque) -> int:
    """Take what only pickle can write."""
    return opaque.value


@ms.pipeline
def wrap_and_open(number: int) -> int:
    """Keep at home what only the home opens."""
    return open_up.submit(wrap.submit(number)).result()


@ms.pipeline
def chain(number: int) -> int:
    """Two steps, one in this worker and one in another."""
    return double(number) + double.submit(number + 1).result()


@ms.step
def learn_slowly(rate: float) -> float:
    """Take long enough that somebody may be gone before the search is over."""
    time.sleep(0.3)
    ms.log(loss=(rate - 0.3) ** 2)
    return rate


@ms.step
def learn(rate: float) -> float:
    """Log what a search looks for."""
    ms.log(loss=(rate - 0.3) ** 2)
    return rate
