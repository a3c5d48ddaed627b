"""The flows of the comparison in Dagster: ``flow.py chain|isolated COUNT START``."""

import os
import sys
from pathlib import Path

from dagster import (
    DagsterInstance,
    FilesystemIOManager,
    JobDefinition,
    build_reconstructable_job,
    execute_job,
    job,
    op,
)


def mark(letter: str) -> None:
    """Tell the comparison that a step begins or ends."""
    with Path(os.environ["LEDGER"]).open("a") as file:
        file.write(letter)


@op
def add(value: int) -> int:
    """Add one."""
    mark("+")
    mark("-")
    return value + 1


def make_job(count: str) -> JobDefinition:
    """Return a job that adds one so many times; outputs are kept in files."""

    @job(resource_defs={"io_manager": FilesystemIOManager()})
    def chain() -> None:
        value = add.alias("add_0")()
        for index in range(1, int(count)):
            value = add.alias(f"add_{index}")(value)

    return chain


if __name__ == "__main__":
    kind, count, start = sys.argv[1:]
    last = f"add_{int(count) - 1}"
    config = {"ops": {"add_0": {"inputs": {"value": int(start)}}}}
    with DagsterInstance.get() as instance:
        if kind == "chain":
            result = make_job(count).execute_in_process(run_config=config, instance=instance)
            print("answer", result.output_for_node(last))
        else:
            target = build_reconstructable_job(
                "flow",
                "make_job",
                reconstructor_working_directory=str(Path(__file__).parent),
                reconstructable_kwargs={"count": count},
            )
            with execute_job(target, instance=instance, run_config=config) as result:
                print("answer", result.output_for_node(last))
