"""torchrun on several nodes: its processes find each other by what a gang's members are told."""

import sys
from pathlib import Path

import pytest

import mainspring as ms
from mainspring.domain.pools import AddPool

pytest.importorskip("torch")
pytestmark = pytest.mark.torch
PROGRAM = Path(__file__).resolve().parents[1] / "fixtures" / "pytorch" / "reduce_program.py"
LAUNCH = """
exec "$0" -m torch.distributed.run --nnodes "$WORLD_SIZE" --node-rank "$NODE_RANK" --nproc-per-node 2 \
    --master-addr "$MASTER_ADDR" --master-port "$MASTER_PORT" "$1"
"""


def test_torchrun_spans_the_nodes_of_a_gang(client) -> None:
    client.ask(AddPool(name="pair", url="local://pair?cpus=2&memory=8GB&nodes=2"))
    run = ms.run(["sh", "-c", LAUNCH, sys.executable, str(PROGRAM)], name="reduce", nodes=2, pool="pair", wait=True)
    assert run.state == "succeeded", run.logs() + run.logs(rank=1)
    said = [sorted(line for line in run.logs(rank).splitlines() if line.startswith("rank ")) for rank in (0, 1)]
    assert said == [
        ["rank 0 of 4, here 0: 6", "rank 1 of 4, here 1: 6"],
        ["rank 2 of 4, here 0: 6", "rank 3 of 4, here 1: 6"],
    ]
    assert run.metrics["total"] == 6


def test_a_plain_program_finds_the_others_without_a_launcher(client) -> None:
    client.ask(AddPool(name="pair", url="local://pair?cpus=2&memory=8GB&nodes=2"))
    run = ms.run([sys.executable, str(PROGRAM)], name="reduce", nodes=2, pool="pair", wait=True)
    assert run.state == "succeeded", run.logs() + run.logs(rank=1)
    assert [run.logs(rank).splitlines()[-1] for rank in (0, 1)] == [f"rank {rank} of 2, here 0: 1" for rank in (0, 1)]
