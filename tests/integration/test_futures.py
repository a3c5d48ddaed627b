"""Steps on workers: futures, edges, maps, and what cannot travel."""

import os
import threading

import numpy as np
import pytest

import mainspring as ms
from mainspring.domain.errors import Failed, Invalid, NotFound
from mainspring.domain.messages import ListRuns
from mainspring.types import Future

pytestmark = pytest.mark.usefixtures("client")


@ms.step
def square(n: int) -> int:
    return n * n


@ms.step
def whoami(salt: int) -> int:
    return os.getpid() + 0 * salt


@ms.step
def total(parts, scale: int = 1):
    return scale * sum(parts)


@ms.step
def fail(x: int):
    raise ValueError(f"no {x}")


def test_submit_runs_in_another_process():
    future = whoami.submit(1)
    assert isinstance(future, Future)
    assert future.result(60) != os.getpid()
    assert future.done()
    assert ms.Run(future.id).state == "succeeded"


def test_resources_send_a_plain_call_to_a_worker():
    assert whoami.options(memory="500 MB")(2) != os.getpid()
    assert whoami(3) == os.getpid()


def test_the_key_is_the_same_here_and_there(client):
    assert square.submit(12).result(60) == 144
    assert square(12) == 144
    assert client.ask(ListRuns(name="square", limit=1))[0].cached_from is not None


def test_options_hold_for_one_call(client):
    asked = {"cpus": 0.5, "memory": "300 MB", "timeout": "1min", "retries": 2, "backoff": "3s", "pool": "local"}
    changed = square.options(**asked)
    assert changed(12) == 144
    (run,) = client.ask(ListRuns(name="square"))
    assert (run.resources.cpus, run.resources.memory_bytes, run.resources.pool) == (0.5, 300_000_000, "local")
    assert (run.timeout_s, run.retries, run.backoff_s) == (60.0, 2, 3.0)
    assert changed.options(retries=0).settings.timeout_s == 60.0  # what is left out stays
    assert square(13) == 169
    plain = client.ask(ListRuns(name="square"))[0]
    assert (plain.resources.memory_bytes, plain.timeout_s, plain.retries, plain.pid) == (None, None, 0, os.getpid())
    for impossible in ({"gpus": 64}, {"cpus": 4096}, {"pool": "moon"}):
        with pytest.raises(Invalid) as caught:
            square.options(**impossible).submit(14)
        assert caught.value.code == "RUN-009"


def test_a_future_is_an_edge_alone_and_in_containers():
    ones = square.map([1, 2, 3])
    assert [type(each) for each in ones] == [Future] * 3
    first = total.submit(ones)
    assert total.submit([first, square.submit(5), 7], scale=2).result(60) == 2 * (14 + 25 + 7)
    assert total([first, 1]) == 15


def test_map_takes_several_iterables_and_constants():
    assert [each.result(60) for each in total.map([[1], [2, 3]], [10, 100])] == [10, 500]
    assert [each.result(60) for each in total.map([[1], [2, 3]], scale=2)] == [2, 10]
    assert total.map([]) == []


@pytest.mark.parametrize(
    "use",
    [
        bool,
        len,
        list,
        float,
        int,
        lambda future: future + 1,
        lambda future: 1 - future,
        lambda future: future < 3,
        lambda future: future >= 3,
        lambda future: -future,
        lambda future: future[0],
        lambda future: 3 in future,
        lambda future: [1, 2][future],
        lambda future: [*future],
    ],
)
def test_a_future_is_not_its_value(use):
    future = Future("square", None)
    with pytest.raises(TypeError, match=r"needs the value of square.*\.result\(\)"):
        use(future)


def test_an_attribute_of_the_value_is_hinted_at():
    with pytest.raises(AttributeError, match=r"\.result\(\)\.shape"):
        _ = Future("square", None).shape


def test_a_step_that_raises_elsewhere():
    with pytest.raises(Failed, match="RUN-006: fail raised ValueError: no 3") as caught:
        fail.submit(3).result(60)
    assert "in fail" in caught.value.__notes__[0]
    broken = total.submit([fail.submit(4)])
    with pytest.raises(Failed, match="no 4"):
        broken.result(60)


def test_a_pipeline_waits_for_what_it_submitted(client):
    @ms.pipeline
    def whole():
        square.submit(31)

    whole()
    (run,) = client.ask(ListRuns(name="square"))
    top = client.ask(ListRuns(kind="pipeline"))[0]
    assert (run.state, run.parent_id) == ("succeeded", top.id)
    assert run.ended_at <= top.ended_at


def test_a_failure_that_nobody_saw_fails_the_pipeline(client):
    @ms.pipeline
    def careless():
        fail.submit(5)

    @ms.pipeline
    def careful():
        try:
            fail.submit(6).result(60)
        except Failed:
            return "seen"

    with pytest.raises(Failed, match="no 5"):
        careless()
    assert careful() == "seen"
    assert [run.state for run in client.ask(ListRuns(kind="pipeline"))] == ["succeeded", "failed"]


def test_a_step_on_a_worker_submits_and_waits(client):
    @ms.step
    def outer(n):
        square.submit(n)
        return square(n + 1)

    assert outer.submit(40).result(60) == 41 * 41
    top = client.ask(ListRuns(name="outer"))[0]
    assert {(run.state, run.parent_id) for run in client.ask(ListRuns(name="square"))} == {("succeeded", top.id)}


def test_large_arguments_and_captured_values_travel():
    offset = np.arange(3.0)

    @ms.step
    def shift(array, by):
        return array[:3] + by + offset

    big = np.ones(100_000)
    assert shift.submit(big, by=2).result(60).tolist() == [3.0, 4.0, 5.0]


def test_what_is_captured_and_cannot_travel_is_named():
    lock = threading.Lock()

    @ms.step(cache=False)
    def guarded(x):
        with lock:
            return x

    with pytest.raises(Invalid, match=r"STEP-005: the function .*guarded, captures lock, is of type _thread.lock"):
        guarded.submit(1)
    with open(__file__) as file:  # noqa: PTH123
        with pytest.raises(Invalid, match=r"STEP-005: argument 1 is of type _io.TextIOWrapper"):
            square.options(cache=False).submit(file)

        @ms.step
        def read(x):
            return file.read()

        with pytest.raises(Invalid, match=r"STEP-005: the function .*read, captures file, is of type _io.Text"):
            read.options(cache=False).submit(1)
    later = Future("square", None)

    @ms.step(cache=False)
    def use(x):
        return later

    with pytest.raises(Invalid, match=r"STEP-005: .*use, captures later, is of type mainspring\.sdk\.futures\.Future"):
        use.submit(1)
    with pytest.raises(Invalid, match=r"STEP-005: argument 1 is of type generator"):
        square.options(cache=False).submit(number for number in [1])
    with pytest.raises(Invalid, match=r"STEP-002: argument n holds an object of type generator"):
        square.submit(number for number in [1])


def test_a_timeout_of_waiting_is_no_end():
    @ms.step(cache=False)
    def slow():
        import time

        time.sleep(1.5)
        return 1

    future = slow.submit()
    with pytest.raises(TimeoutError, match="slow is"):
        future.result(0.01)
    assert future.result(60) == 1


def test_run_starts_things_elsewhere(tmp_path):
    @ms.pipeline
    def whole(n: int):
        print("from a worker")
        return square(n) + square.submit(n).result(60)

    started = ms.run(whole, 3)
    assert started.result(60) == 18
    assert (started.record.kind, started.params) == ("pipeline", {"n": 3})
    assert ms.run(square, 4, wait=True).result() == 16
    target = tmp_path / "made"
    assert ms.run(["touch", str(target)], wait=True).state == "succeeded"
    assert target.exists()
    with pytest.raises(Failed, match="false ended with status 1"):
        ms.run(["false"]).result(60)
    with pytest.raises(NotFound, match="RUN-012"):
        ms.run(["/no/such/program"]).result(60)
    with pytest.raises(Invalid, match="STEP-004"):
        ms.run(3)


def test_code_that_changed_after_the_submission_is_refused(tmp_path, client):
    from mainspring.domain.errors import Conflict
    from mainspring.pipelines.modules import locate
    from mainspring.pipelines.project import check_files

    name = __name__
    with pytest.raises(Conflict, match="STEP-007"):
        check_files({name: "0" * 64})
    assert locate(name) == __file__
