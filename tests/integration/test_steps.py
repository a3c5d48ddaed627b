"""Steps in the caller's process: they stay functions, and every call is recorded."""

import contextvars
import dataclasses
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import mainspring as ms
from mainspring.domain.errors import Interrupted, Invalid, NotFound, Pruned
from mainspring.domain.messages import GetRun, ListRuns
from mainspring.sdk.companion import companion_of
from mainspring.sdk.context import active_run

pytestmark = pytest.mark.usefixtures("client")

calls = []


@pytest.fixture(autouse=True)
def _forget_calls():
    calls.clear()


@ms.step
def add(a: int, b: int = 1) -> int:
    """Add."""
    calls.append((a, b))
    return a + b


@dataclasses.dataclass
class Pair:
    left: int
    rows: object


def latest(client, **wanted):
    return client.ask(ListRuns(limit=1, **wanted))[0]


def test_a_plain_call_runs_now_and_returns_the_value(client):
    assert add(1) == 2
    if add(-1):
        pytest.fail("add(-1) is 0")
    assert (add.__name__, add.__doc__, add.__wrapped__(2, 2)) == ("add", "Add.", 4)
    run = latest(client)
    assert (run.kind, run.name, run.state, run.parent_id) == ("step", "add", "succeeded", None)
    assert run.params == {"a": -1, "b": 1}
    assert run.fingerprint.inputs == {"a": "=-1", "b": "=1"}


def test_a_second_call_is_a_hit_whatever_way_it_is_written(client):
    constant = len(calls)
    first = latest_of(add, client, 5, b=2)
    again = latest_of(add, client, a=5, b=2)
    assert again.cached_from == first.id
    assert again.reason == f"cached: nothing changed since run {first.id[-6:]}"
    assert constant == 0


def latest_of(step, client, *args, **kwargs):
    calls.clear()  # what a step reaches is part of its key
    step(*args, **kwargs)
    calls.clear()
    return latest(client)


def test_values_of_every_kind_come_back_from_a_hit():
    @ms.step
    def make(seed: int):
        rows = pl.DataFrame({"a": [seed, None], "s": ["x", None]})
        return Pair(seed, rows), np.arange(3.0), {"n": [1, 2]}

    first, second = make(3), make(3)
    assert first[0].rows.equals(second[0].rows)
    assert second[0].left == 3
    assert second[1].tolist() == [0.0, 1.0, 2.0]
    assert second[2] == {"n": [1, 2]}


def test_what_a_step_returned_gives_the_same_key_before_and_after_storage(client):
    @ms.step
    def make(seed: int):
        frame = pl.DataFrame({"a": [seed, None, 3], "c": pl.Series(["u", None, "w"]).cast(pl.Categorical)})
        return frame.with_columns(b=pl.col("a") * 2.5, d=pl.concat_list("a")).filter(pl.col("c").is_not_null())

    @ms.step
    def use(rows):
        return rows.height

    use(make(1))
    assert latest(client, name="use").cached_from is None
    use(make(1))
    assert latest(client, name="use").cached_from is not None


def test_the_users_exception_comes_out_as_it_was_raised(client):
    fault = KeyError("gone")

    @ms.step
    def fail(x: int):
        raise fault

    with pytest.raises(KeyError) as caught:
        fail(1)
    assert caught.value is fault
    innermost = caught.traceback[-1]
    assert (innermost.name, innermost.frame.f_locals["x"]) == ("fail", 1)
    run = latest(client)
    assert (run.state, run.problem.code, run.problem.what) == ("failed", "RUN-006", "fail raised KeyError: 'gone'")
    assert f"fix: mainspring logs {run.id}" in str(ms.why(run.id))
    assert "in fail" in run.problem.traceback
    assert "mainspring/sdk" not in run.problem.traceback
    with pytest.raises(KeyError):
        fail(1)
    assert latest(client).reason.endswith(f"run {run.id[-6:]} failed")


@pytest.mark.parametrize(
    ("word", "state"), [(KeyboardInterrupt, "cancelled"), (Pruned, "pruned"), (SystemExit, "failed")]
)
def test_a_word_to_end_is_recorded_and_goes_on(client, word, state):
    @ms.step
    def stop():
        raise word

    with pytest.raises(word):
        stop()
    assert latest(client).state == state


def test_steps_below_steps_and_pipelines(client):
    @ms.step
    def inner(x):
        return x * 2

    @ms.step
    def outer(x):
        return inner(x) + 1

    @ms.pipeline
    def whole(x):
        return outer(x)

    assert whole(3) == 7
    top = latest(client, kind="pipeline")
    assert (top.name, top.params, top.state, top.parent_id) == ("whole", {"x": 3}, "succeeded", None)
    (below,) = client.ask(ListRuns(parent_id=top.id))
    (deepest,) = client.ask(ListRuns(parent_id=below.id))
    assert (below.name, deepest.name) == ("outer", "inner")
    assert ms.Run(top.id).result() == 7


def test_two_functions_of_one_name_are_refused(client):
    def make(value):
        if value == 1:

            def clean():
                return 1
        else:

            def clean():
                return 2

        return ms.step(clean)

    @ms.pipeline
    def whole():
        return make(1)() + make(1)() + make(2)()

    with pytest.raises(Invalid, match=r"STEP-003: two functions are called 'clean': .*test_steps\.py:\d+ and "):
        whole()
    run = latest(client, kind="pipeline")
    assert (run.state, run.problem.code) == ("failed", "STEP-003")
    assert len(client.ask(ListRuns(parent_id=run.id))) == 2


def test_a_result_that_cannot_be_stored(client):
    @ms.step
    def lock():
        return {"rows": [1], "lock": threading.Lock()}

    with pytest.raises(Invalid, match=r"STEP-001: the result\['lock'\] is of type _thread.lock"):
        lock()
    assert latest(client).problem.code == "STEP-001"


@pytest.mark.parametrize("kind", ["generator", "file"])
def test_inputs_without_content(kind, client):
    @ms.step
    def use(rows):
        return list(rows)

    with Path(__file__).open() as file:
        rows = file if kind == "file" else (number for number in [1, 2])
        with pytest.raises(Invalid, match="STEP-002: argument rows holds an object of type"):
            use(rows)
        assert use.options(cache=False)(rows)
    assert [run.state for run in client.ask(ListRuns(name="use"))] == ["succeeded"]


@pytest.mark.parametrize("kind", ["generator", "file"])
def test_what_a_step_captures_and_reads_away(kind, client):
    with Path(__file__).open() as file:
        source = file if kind == "file" else (number for number in [1, 2, 3])

        @ms.step
        def use(n):
            return next(source)

        with pytest.raises(Invalid, match=r"STEP-002: .*use\.source of .*test_steps.py is an object of type") as caught:
            use(1)
        assert "cache=False" in caught.value.fix
        with pytest.raises(Invalid, match="STEP-002"):
            use.submit(1)
        once = use.options(cache=False)
        assert once(1) != once(1)  # as a plain function would


def test_what_a_step_captures_and_may(client, tmp_path):
    with (tmp_path / "log").open("a") as log, threading.Lock() as held:
        half = lambda x: x / 2  # noqa: E731

        @ms.step
        def use(n):
            log.write(f"{held}")
            return half(n)

        assert use(4) == use(4) == 2
    assert [run.cached_from is not None for run in client.ask(ListRuns(name="use"))] == [True, False]


def test_what_is_no_plain_function():
    async def wait():
        return 1

    def generate():
        yield 1

    for wrong in (lambda: 1, wait, generate, 3, str, ms.step(lambda_free)):
        with pytest.raises(Invalid, match="STEP-004"):
            ms.step(wrong)


def lambda_free():
    return 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"cpus": 0}, "STEP-008"),
        ({"cpus": float("nan")}, "STEP-008"),
        ({"retries": -1}, "STEP-008"),
        ({"gpus": "2"}, "STEP-008"),
        ({"env": object()}, "STEP-008"),
        ({"memory": "much"}, "RUN-004"),
        ({"timeout": "soon"}, "RUN-003"),
    ],
)
def test_wrong_options(options, code):
    with pytest.raises(Invalid) as caught:
        ms.step(**options)(lambda_free)
    assert caught.value.code == code
    assert str(next(iter(options.values()))) in caught.value.what


def test_wrong_arguments_are_a_type_error_of_the_function():
    with pytest.raises(TypeError, match=r"add\(\) missing a required argument: 'a'"):
        add()


def test_numbers_that_the_record_has_no_room_for_are_arguments_all_the_same(client):
    @ms.step
    def double(n, parts):
        return 2 * n + sum(parts)

    for _ in range(2):
        assert double(2**64, [-(2**63) - 1]) == 2**65 - 2**63 - 1
        assert double.submit(2**64 - 1, [1]).result() == 2**65 - 1
    runs = client.ask(ListRuns(name="double"))[::-1]
    assert [run.params for run in runs] == [{}, {"n": 2**64 - 1, "parts": [1]}] * 2
    assert [run.cached_from is not None for run in runs] == [False, False, True, True]


def test_retries(client):
    tries = iter([ValueError("one"), ValueError("two"), 3])

    @ms.step(retries=2, cache=False)
    def flaky():
        found = next(tries)
        if isinstance(found, Exception):
            raise found
        return found

    assert flaky() == 3
    assert latest(client).state == "succeeded"


def test_cache_false_runs_every_time(client):
    @ms.step(cache=False)
    def count():
        calls.append(1)
        return len(calls)

    assert (count(), count()) == (1, 2)
    assert latest(client).key is None


def test_a_stored_class_that_is_gone_runs_again(client, monkeypatch, capsys):
    @ms.step
    def make():
        return Pair(1, None)

    make()
    real = Pair
    monkeypatch.delattr(f"{__name__}.Pair")
    with pytest.raises(NameError):
        make()
    monkeypatch.setattr(sys.modules[__name__], "Pair", real, raising=False)
    assert make() == Pair(1, None)


def test_what_is_logged_is_on_the_run_when_it_ends(client):
    @ms.step
    def learn():
        for loss in (3.0, 2.0, float("nan")):
            ms.log(loss=loss)
        ms.log({"auc": np.float64(0.5)}, step=7)
        ms.log(note="hello", table=pl.DataFrame({"a": [1]}))
        ms.log_params(depth=3, kind=int)

    learn()
    run = ms.Run(latest(client).id)
    assert run.metrics["auc"] == 0.5
    assert [(step, value) for step, _, value in run.series("loss")][:2] == [(0, 3.0), (1, 2.0)]
    assert run.series("loss")[2][2] != run.series("loss")[2][2]
    assert run.series("auc")[0][0] == 7
    assert run.params == {"depth": 3, "kind": "<class 'int'>"}
    assert run.tags == {}
    assert run.artifacts["note"].load() == "hello"
    assert run.artifacts["table"].load().to_dicts() == [{"a": 1}]
    assert not list(client.home.journals.glob("*"))


def test_a_figure_is_kept_as_a_picture(client):
    from matplotlib.figure import Figure

    @ms.step
    def plot():
        figure = Figure()
        figure.subplots().plot([1, 2, 3])
        ms.log(curve=figure)

    plot()
    assert ms.Run(latest(client).id).artifacts["curve"].load().startswith(b"\x89PNG")


def test_log_needs_a_run_and_names():
    with pytest.raises(Invalid, match="STEP-006"):
        ms.log(loss=1)

    @ms.step(cache=False)
    def learn(values, step):
        ms.log(values, step=step)

    for values, step in (({"": 1}, None), ({3: 1}, None), ({"a": 1}, -1), ({"a": 1}, "x")):
        with pytest.raises(Invalid, match="STEP-009"):
            learn(values, step)


def test_orders_of_the_owner_are_heard_by_log():
    @ms.step(cache=False)
    def learn(order):
        active_run().order = order
        ms.log(loss=1.0)

    with pytest.raises(Pruned):
        learn("prune")
    with pytest.raises(Interrupted):
        learn("cancel")


def test_a_cancelled_run_of_this_process_hears_it(client):
    @ms.step(cache=False)
    def wait():
        ms.Run.current().cancel("enough")
        for _ in range(1000):
            ms.log(loss=1.0)
            threading.Event().wait(0.01)

    with pytest.raises(Interrupted):
        wait()
    assert client.ask(GetRun(id=latest(client).id)).state == "cancelled"


def test_threads_need_a_copy_of_the_context():
    found = []

    @ms.step(cache=False)
    def spread():
        bare = threading.Thread(target=lambda: found.append(active_run()))
        copied = threading.Thread(target=contextvars.copy_context().run, args=(lambda: found.append(active_run()),))
        for each in (bare, copied):
            each.start()
            each.join()

    spread()
    assert found[0] is None
    assert found[1].run.name == "spread"
    assert active_run() is None


@ms.step
def note(value: Any) -> None:
    ms.log({"train/auc": float(len(str(value)))})


def test_search_of_runs_by_values_of_any_kind(client):
    for value in ("b", 2, "12", True, 1.5, "007"):
        note(value)
    ordered = [run.params["value"] for run in ms.runs("name = note", order_by="params.value")]
    assert ordered == [True, 1.5, 2, "007", "12", "b"]
    assert [run.params["value"] for run in ms.runs("name = note", order_by="-params.value")] == ordered[::-1]
    assert [run.params["value"] for run in ms.runs("params.value = 007")] == ["007"]
    assert [run.params["value"] for run in ms.runs("params.value = 2.0")] == [2]
    assert sorted(run.params["value"] for run in ms.runs("metrics.train/auc = 2")) == ["12"]
    infinity()
    assert [run.name for run in ms.runs("name = infinity")] == ["infinity"]


@ms.step
def infinity() -> None:
    """Have a name that reads as a number."""


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_process_does_not_beat_for_the_runs_of_its_parent(client):
    @ms.step
    def part() -> int:
        parents = companion_of(client)
        pid = os.fork()
        if pid == 0:
            own = companion_of(client)
            os._exit(own is parents or bool(own._held))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert part() == 0


def test_search_of_runs(client):
    for number in range(3):
        add(number, b=10)
    with pytest.raises(ZeroDivisionError):
        ms.step(divide)(0)
    assert [run.params["a"] for run in ms.runs("name = add and params.a >= 1")] == [2, 1]
    assert [run.params["a"] for run in ms.runs("name=add", order_by="params.a", limit=2)] == [0, 1]
    assert [run.name for run in ms.runs("state = failed")] == ["divide"]
    assert str(ms.runs("state = failed")).split()[:4] == ["ID", "KIND", "NAME", "STATE"]
    assert ms.runs("name = add").polars()["params.a"].to_list() == [2, 1, 0]
    for wrong in ("colour = red", "name", "metrics = 3"):
        with pytest.raises(Invalid, match="RUN-011"):
            ms.runs(wrong)
    with pytest.raises(NotFound, match="RUN-001"):
        ms.Run("f" * 32).record  # noqa: B018 - it asks
    with pytest.raises(Invalid, match="STEP-006"):
        ms.Run.current()


def divide(x):
    return 1 / x


@ms.step
def count_letters(folder: str | Path, file: str = "") -> int:
    return len(str(folder)) + len(file)


def test_a_path_given_as_text_is_told_once(tmp_path, capsys):
    file = tmp_path / "rows.csv"
    file.touch()
    count_letters("no such folder", file="a\0b")
    count_letters(tmp_path)
    assert capsys.readouterr().err == ""
    count_letters(str(tmp_path), file=str(file))
    count_letters.submit(str(tmp_path)).result()
    folder_told, file_told = capsys.readouterr().err.splitlines()
    assert folder_told.startswith(f"STEP-012: folder='{tmp_path}' of count_letters names a folder, but counts as text")
    assert file_told.endswith(f" names a file, but counts as text; give Path('{file}') so that its content counts")
    assert "Path" in str(ms.why("STEP-012"))


def test_a_step_without_cache_may_have_paths_as_text(tmp_path, capsys):
    count_letters.options(cache=False)(folder=str(tmp_path))
    assert capsys.readouterr().err == ""
