"""Steps in the places where people write them: scripts, the debugger, notebooks, typed code."""

import os
import re
import subprocess
import sys
import textwrap

import pytest


@pytest.fixture
def launch(client, tmp_path):
    """Run a script in a folder of its own: ``launch(text, *arguments, stdin=...)``."""

    def start(text, *arguments, stdin="", code=0, name="flow.py"):
        script = tmp_path / name
        script.write_text(textwrap.dedent(text))
        done = subprocess.run(
            [sys.executable, *arguments, str(script)],
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "COLUMNS": "200"},
        )
        assert done.returncode == code, done.stderr
        return done

    return start


def test_a_script_without_a_guard_submits_to_workers(launch):
    text = """
        import os
        import mainspring as ms

        print("top")

        @ms.step
        def double(x):
            return helper(x), os.getpid()

        def helper(x):
            return 2 * x

        pairs = [future.result(60) for future in double.map([1, 2, 3])]
        print([pair[0] for pair in pairs], os.getpid() not in {pair[1] for pair in pairs})
    """
    assert launch(text).stdout.splitlines() == ["top", "[2, 4, 6] True"]
    assert launch(text).stdout.splitlines() == ["top", "[2, 4, 6] True"]


def test_progress_is_told_on_standard_error(launch):
    text = """
        import mainspring as ms

        @ms.step
        def ingest():
            return [1]

        @ms.step
        def features(rows, rate=0.1):
            return rows

        @ms.pipeline
        def train():
            return features(ingest())

        if __name__ == "__main__":
            train()
    """
    first = launch(text).stderr.splitlines()
    assert first[0].split()[0] == "train"
    assert first[0].split()[2:4] == ["ingest", "run"]
    assert first[-1].startswith("next: mainspring why ")
    lines = launch(text.replace("0.1", "0.2")).stderr.splitlines()
    assert lines[0].split()[2:4] == ["ingest", "HIT"]
    assert "(nothing changed since run " in lines[0]
    assert lines[1].strip().startswith("features    run")
    assert lines[1].endswith("(parameter rate 0.1 -> 0.2)")


def test_breakpoint_stops_in_the_users_frame(launch):
    text = """
        import mainspring as ms

        @ms.step
        def clean(x):
            secret = x * 7
            breakpoint()
            return secret

        @ms.pipeline
        def train():
            return clean(6)

        if __name__ == "__main__":
            print("result", train())
    """
    done = launch(text, stdin="p 'secret', secret\nwhere\nsecret = 1000\nc\n")
    assert "('secret', 42)" in done.stdout
    # From 3.13 on it stops at the call itself, before at the line that follows.
    assert re.search(r"flow\.py\([78]\)clean\(\)\n-> (breakpoint\(\)|return secret)", done.stdout)
    assert "flow.py(15)<module>()" in done.stdout
    assert "result 1000" in done.stdout


def test_post_mortem_ends_at_the_line_that_raised(launch):
    text = """
        import mainspring as ms

        @ms.step
        def clean(x):
            secret = x * 7
            return secret / 0

        clean(6)
    """
    done = launch(text, "-m", "pdb", "-c", "continue", stdin="p 'secret', secret\nq\n")
    assert "('secret', 42)" in done.stdout
    assert "-> return secret / 0" in done.stdout
    fault = launch(text, code=1).stderr.splitlines()
    assert fault[-1] == "ZeroDivisionError: division by zero"
    assert "in clean" in "".join(fault[-5:-1])


def test_functions_of_notebook_cells(launch):
    kernel = """
        import hashlib
        import linecache
        import sys

        # A kernel runs cells like this: each has a name of its own and its text in `linecache`.
        def run_cell(text):
            name = f"/tmp/ipykernel_{hashlib.md5(text.encode()).hexdigest()}/cell.py"
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
            exec(compile(text, name, "exec"), space)

        space = vars(sys.modules["__main__"])
        for name in ("__file__", "__spec__"):
            space.pop(name, None)

        CLEAN = "def clean(x):\\n    return x + {}\\n"
        STEP = (
            "import mainspring as ms\\n"
            "@ms.step\\n"
            "def features(x):\\n"
            "    return [clean(x)]\\n"
        )
        SHOW = "print(ms.runs('name = features', limit=1)[0].record.reason.partition(' since')[0])\\n"
        for text in (
            CLEAN.format(1), STEP, "print(features(1))\\n", SHOW,
            CLEAN.format(1) + "# again\\n", STEP, "print(features(1))\\n", SHOW,
            CLEAN.format(2), "print(features(1))\\n", SHOW,
            "print(features.submit(5).result(60))\\n",
            "print(features(5))\\n", SHOW,
        ):
            run_cell(text)
    """
    assert launch(kernel).stdout.splitlines() == [
        "[2]",
        "first run of features",
        "[2]",
        "cached: nothing changed",
        "[3]",
        "ran again: helper clean() of notebook changed",
        "[7]",
        "[7]",
        "cached: nothing changed",
    ]


TYPED = """\
import mainspring as ms
from mainspring.types import Future

@ms.step
def ingest(folder: str, limit: int = 3) -> list[int]:
    return [limit]

@ms.step(cpus=2, memory="1 GB")
def fit(rows: list[int]) -> float:
    return 0.5

@ms.pipeline(pool="lab")
def train(folder: str) -> float:
    return fit(ingest(folder))

reveal_type(ingest("a", limit=4))
reveal_type(fit.submit(ingest.submit("a")))
reveal_type(fit.submit([1]).result())
reveal_type(fit.map([[1], [2]]))
reveal_type(fit.options(gpus=1)([1]))
reveal_type(train("a"))
ingest(3)
ingest("a", wrong=1)
train()
if fit([1]) > 0.1:
    later: Future[float] = fit.submit([1])
"""


def test_type_checkers_know_steps(tmp_path):
    script = tmp_path / "typed.py"
    script.write_text(TYPED)
    source = os.path.dirname(os.path.dirname(__import__("mainspring").__file__))  # noqa: PTH120
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [*command, str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "MYPYPATH": source},
    )
    lines = [line.partition("typed.py:")[2] for line in done.stdout.splitlines() if "typed.py" in line]
    revealed = [line.partition('"')[2].rstrip('"').replace("builtins.", "") for line in lines if "Revealed" in line]
    assert revealed == [
        "list[int]",
        "mainspring.sdk.futures.Future[float]",
        "float",
        "list[mainspring.sdk.futures.Future[float]]",
        "float",
        "float",
    ]
    errors = [line.partition("[")[2].rstrip("]") for line in lines if " error: " in line]
    assert errors == ["arg-type", "call-arg", "call-arg"]
