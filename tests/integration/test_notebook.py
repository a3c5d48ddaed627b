"""Steps that are defined in the cells of a notebook: here, on workers, cached, and seen when a cell is edited.

A session that keeps cells as IPython does: no file behind `__main__`, each cell's text under a name of its own.
"""

import hashlib
import json
import subprocess
import sys

import pytest

SESSION = """
import json, linecache, sys
main = sys.modules["__main__"].__dict__
cells = json.loads(sys.stdin.read())
for name, text in cells:
    lines = [line + "\\n" for line in text.splitlines()]
    linecache.cache[name] = (len(text), None, lines, name)
    exec(compile(text, name, "exec"), main)
"""

STEP = """
import mainspring as ms

def helper(x):
    return x + 1

class Scale:
    factor = 2

@ms.step
def area(x):
    return helper(x) * Scale.factor

@ms.pipeline
def areas(n):
    return sum(future.result() for future in area.map(range(n)))
"""

TELL = """
for run in ms.runs("name = area", limit=100)[::-1][told:]:
    print(run.record.state, run.record.reason.partition(" since run")[0])
told = len(ms.runs("name = area", limit=100))
"""


def run_cells(*cells):
    """Run cells in one session; return what they printed, and fail when one raises."""
    named = [(f"/tmp/ipykernel_1/{hashlib.sha256(text.encode()).hexdigest()[:8]}.py", text) for text in cells]
    done = subprocess.run(
        [sys.executable, "-c", SESSION],
        input=json.dumps(named),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.usefixtures("client")
def test_a_step_of_a_cell_runs_here_and_on_workers_and_is_cached():
    told = run_cells(
        "told = 0\n" + STEP,
        "assert area(3) == 8",
        TELL,
        "assert area(3) == 8",
        "assert area.submit(3).result() == 8",
        "assert [f.result() for f in area.map([3, 4])] == [8, 10]",
        TELL,
        "assert ms.run(areas, 5, wait=True).result() == 30",
        TELL,
    )
    hit = "succeeded cached: nothing changed"
    assert told == [
        "succeeded first run of area",
        hit,  # called here
        hit,  # submitted
        hit,  # of the map
        "succeeded ran again: parameter x 3 -> 4",
        *["succeeded ran again: parameter x 4 -> 0", "succeeded ran again: parameter x 0 -> 1"],
        *["succeeded ran again: parameter x 1 -> 2", hit, hit],
    ]


@pytest.mark.usefixtures("client")
def test_an_edit_of_a_cell_is_seen_and_a_comment_is_not():
    told = run_cells(
        "told = 0\n" + STEP,
        "area(3)",
        STEP.replace("def helper(x):", "def helper(x):\n    # a comment"),
        "area(3)",
        STEP.replace("x + 1", "x + 2"),
        "assert area(3) == 10",
        "assert area.submit(3).result() == 10",
        "def helper(x):\n    return x + 3",
        "assert area(3) == 12",
        "class Scale:\n    factor = 3",
        "assert area.submit(3).result() == 18",
        STEP,
        "assert area(3) == 8",
        TELL,
    )
    hit = "succeeded cached: nothing changed"
    assert told == [
        "succeeded first run of area",
        hit,
        "succeeded ran again: helper helper() of notebook changed",
        hit,
        "succeeded ran again: helper helper() of notebook changed",
        "succeeded ran again: class Scale of notebook changed",
        hit,
    ]


@pytest.mark.usefixtures("client")
def test_a_restarted_kernel_finds_what_the_last_one_left():
    run_cells("told = 0\n" + STEP, "area(3)")
    assert (
        run_cells("told = 1\n" + STEP, "area.submit(3).result()", "area(3)", TELL)
        == ["succeeded cached: nothing changed"] * 2
    )
