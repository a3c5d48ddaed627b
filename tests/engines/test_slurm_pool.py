"""A pool slurm://: steps of an owner as jobs, from the queue to the result, over real daemons."""

import os
import signal
import time
from pathlib import Path

import pytest
from tests.support.homes import end_owner

from mainspring.domain.messages import CancelRuns, GetLogs, GetStatus
from mainspring.domain.pools import AddPool, GetPool
from mainspring.domain.records import Resources
from mainspring.testing import programs
from mainspring.testing.engines import get, lives, problem_of, submit, until, wait, wait_for_file

pytestmark = pytest.mark.engines

ON_SLURM = Resources(pool="cluster", gpus=1)


def tell_devices(stop=""):
    """Print what the job was given, and go on until a file is there."""
    print(os.environ["CUDA_VISIBLE_DEVICES"], os.environ["SLURM_JOB_PARTITION"], flush=True)
    while stop and not Path(stop).exists():
        time.sleep(0.05)
    return os.environ["CUDA_VISIBLE_DEVICES"]


@pytest.fixture
def cluster(client, slurm):
    """The cluster as a pool of the home, whose machines are known."""
    client.ask(AddPool(name="cluster", url=f"slurm://?partition=lab&conf={slurm.conf}"))
    for _ in until():
        pool = client.ask(GetPool(name="cluster"))
        if pool.nodes:
            break
    yield pool
    end_owner(client.home)
    slurm.run("scancel", "--me")


def test_a_step_is_a_job_with_a_device_of_its_own(client, cluster):
    assert (cluster.nodes, cluster.cpus, cluster.gpus, cluster.problem) == (1, 16, 8, "")
    runs = wait(client, *(submit(client, tell_devices, resources=ON_SLURM) for _ in range(2)))
    assert {(run.state, run.attempt, run.place.partition("/")[0]) for run in runs} == {("succeeded", 1, "cluster")}
    texts = [client.ask(GetLogs(run_id=run.id)).text.split() for run in runs]
    assert all(device in "01234567" and partition == "lab" for device, partition in texts)


def test_what_no_node_holds_is_refused_when_it_is_submitted(client, cluster):
    with pytest.raises(Exception, match="9 gpus") as caught:
        submit(client, tell_devices, resources=Resources(pool="cluster", gpus=9))
    assert caught.value.code == "RUN-009"


def test_a_run_waits_with_slurms_reason_and_is_cancelled_there(client, cluster, slurm, tmp_path):
    """Somebody else holds all devices: the run keeps its place in Slurm's queue until nobody wants it."""
    slurm.run("sbatch", "--gres=gpu:8", "--output=/dev/null", "--wrap=sleep 600")
    for _ in until():
        if "RUNNING" in slurm.run("squeue", "-h", "-o", "%T").stdout:
            break
    run = submit(client, programs.leave_mark, str(tmp_path), "never", resources=ON_SLURM)
    for _ in until():
        if "Resources" in get(client, run).reason:
            break
    assert get(client, run).reason == "starting: waiting in Slurm: Resources"
    client.ask(CancelRuns(ids=[run.id]))
    assert get(client, run).state == "cancelled"
    for _ in until():
        if run.id not in slurm.run("squeue", "-h", "-o", "%j").stdout:
            break
    assert not list(tmp_path.glob("never*"))


def test_a_run_is_cancelled_with_all_that_it_has_started(client, cluster, tmp_path):
    ready, cleaned = tmp_path / "ready", tmp_path / "cleaned"
    run = submit(client, programs.clean_up_when_told, str(ready), str(cleaned), resources=ON_SLURM)
    pids = [int(word) for word in wait_for_file(ready).split()]
    client.ask(CancelRuns(ids=[run.id]))
    (ended,) = wait(client, run)
    assert (ended.state, problem_of(ended)[0]) == ("cancelled", "RUN-010")
    for _ in until():
        if not any(map(lives, pids)):
            break
    assert cleaned.exists()


def test_runs_outlive_the_owner_and_a_lost_worker_is_replaced(client, cluster, tmp_path):
    stop, ready = tmp_path / "stop", tmp_path / "ready"
    run = submit(client, programs.wait_for, str(stop), str(ready), resources=ON_SLURM)
    os.kill(int(wait_for_file(ready)), signal.SIGKILL)
    for _ in until():
        if get(client, run).attempt == 2 and get(client, run).state == "running":
            break
    ready.unlink()
    owner = client.ask(GetStatus()).pid
    os.kill(owner, signal.SIGKILL)
    assert client.ask(GetStatus()).pid != owner
    stop.touch()
    (ended,) = wait(client, run)
    assert (ended.state, ended.attempt) == ("succeeded", 2)


def test_a_run_that_takes_too_long_is_ended(client, cluster, tmp_path):
    run = submit(client, programs.swallow_the_word, str(tmp_path / "ready"), timeout_s=0.3, resources=ON_SLURM)
    (ended,) = wait(client, run)
    assert problem_of(ended)[0] == "RUN-007"
