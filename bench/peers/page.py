"""The comparison as a page of the documents."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterator
from typing import Any

from bench.peers.tools import TOOLS, Tool

ROWS = {
    "import": "`import`",
    "help": "`--help`",
    "first": "3 steps, first run of an empty home",
    "three": "3 steps, nothing running before",
    "three, owner warm": "3 steps, owner running",
    "fifty": "50 steps",
    "fifty cached": "50 steps, all cached",
    "step": "one more step, in process",
    "cached step": "one more cached step",
    "isolated step": "one more step, in a process of its own",
}
"""Figure -> what stands in the first column; CPU seconds each, of all processes."""

_STEPS = ("step", "cached step", "isolated step")

AIMS = {
    "import": 0.10,
    "help": 0.12,
    "three": 0.35,
    "three, owner warm": 0.35,
    "step": 0.005,
    "cached step": 0.001,
    "isolated step": 0.100,
}
"""Figure -> the most that Mainspring's was meant to be, in CPU seconds on a machine that does nothing else."""

HEAD = """\
<!-- Written by `make bench-peers`; edit bench/peers/page.py instead. -->

# Beside other tools

The same flows, written as each tool's own documents teach: a step adds one and returns the number. What is counted
is CPU, user and system, of every process that a command starts, daemons that stay included: wall times mean little
on a shared machine. Answers are checked, and how often the steps' bodies ran; a run that answers wrongly stops
the comparison.
"""

HOW = """\
## How it is measured

- Each tool has an environment of its own from the lock in `bench/peers/<tool>/requirements.txt`, byte-compiled, and an
  empty home in each round. Telemetry is off. Where there are several rounds, they alternate between the tools and begin
  with another one each time.
- Before anything is measured, the small flow on each tool's page of [coming from](../guide/coming-from/README.md) is
  run in its environment.
- *One more step* is (50 steps - 3 steps) / 47; cached, the same of two cached runs. In a process of its own, one after
  another: of Metaflow, whose steps are nothing else, the same; of Dagster's default executor (8 - 3) / 5; Mainspring's
  workers and Prefect's process pool stay for the next step, (50 - 3) / 47 in a home where three ran before.
- *Nothing running before* includes the start of Mainspring's owner and what it does until a second after the script
  ended; *owner running* is every later run within a minute. Prefect's figures include the temporary server that a
  script starts.
- Outputs are kept: Dagster by its file manager, Prefect by `persist_result=True`, the others do by themselves.
- Repeat it: `make bench-peers` (needs `uv`, Linux, some minutes; `ARGS="--only prefect --repeats 1"` for a part,
  `ARGS=--wide` for the thousand steps, too). It is no part of CI.
"""


def render_page(facts: dict[str, Any]) -> str:
    """Return the page of what was measured."""
    tools = [tool for tool in TOOLS if tool.package in facts["tools"]]
    parts = [
        HEAD,
        *_render_figures(tools, facts["tools"]),
        *_render_wide(tools, facts["tools"]),
        *_render_aims(facts["tools"]),
        HOW,
    ]
    machine = f"{facts['cores']} cores, {platform.machine()}, {platform.system()}, Python 3.11"
    rounds = sorted({len(each["rounds"]) for each in facts["tools"].values()})
    loads = f"{min(facts['loads'], default=0):.1f} to {max(facts['loads'], default=0):.1f}"
    counts = " to ".join(map(str, {rounds[0]: 0, rounds[-1]: 0}))
    times = "one round a tool" if rounds == [1] else f"medians of {counts} rounds a tool"
    parts.append(f"\nMeasured {facts['date']} on {machine}; {times}; load {loads} meanwhile.\n")
    return "\n".join(parts)


def _render_figures(tools: list[Tool], found: dict[str, Any]) -> Iterator[str]:
    heads = [f"{tool.name} {found[tool.package]['version']}" for tool in tools]
    lines = [_row(["CPU", *heads]), _row(["---", *["---:"] * len(tools)])]
    for figure, title in ROWS.items():
        medians = {tool.package: _median(found[tool.package]["rounds"], figure) for tool in tools}
        ours = medians.get("mainspring")
        cells = [_cell(figure, medians[tool.package], ours, tool) for tool in tools]
        lines.append(_row([title, *cells]))
    lines.append(_row(["packages", *(str(found[tool.package]["packages"]) for tool in tools)]))
    lines.append(_row(["MB without byte code", *(f"{found[tool.package]['mb']:.0f}" for tool in tools)]))
    yield (
        "\n".join(lines)
        + "\n\nIn brackets: times ours. What a step leaves behind: "
        + "; ".join(f"{tool.name}: {tool.records}" for tool in tools)
        + ".\n"
    )


def _render_wide(tools: list[Tool], found: dict[str, Any]) -> Iterator[str]:
    if not any(found[tool.package].get("wide") for tool in tools):
        return
    yield "## A thousand steps, a hundred at once\n"
    yield "Each waits for 0.2 s; one SQLite file where the tool has one.\n"
    yield _row(["", "CPU", "wall", "most at once", "states in the record"])
    yield _row(["---", "---:", "---:", "---:", "---"])
    for tool in tools:
        wide = found[tool.package].get("wide")
        if wide is None:
            yield _row([tool.name, "", "", "", f"not run: {tool.lacks.get('wide', 'left out')}"])
        elif "failed" in wide:
            yield _row([tool.name, "", "", "", f"not finished: {wide['failed'].splitlines()[-1][:200]}"])
        else:
            states = ", ".join(f"{count} {state.lower()}" for state, count in sorted(wide["states"].items()))
            locked = f"; {wide['locked']} lines say `database is locked`" if wide["locked"] else ""
            spent = [f"{wide['cpu_s']:.0f} s", f"{wide['wall_s']:.0f} s", str(wide["at once"])]
            remark = f" ({tool.remark})" if tool.remark else ""
            yield _row([tool.name, *spent, states + locked + remark])
    yield ""


def _render_aims(found: dict[str, Any]) -> Iterator[str]:
    if "mainspring" not in found:
        return
    yield "## Against what was aimed at\n"
    yield "The aims are for a machine of one's own; other work beside it, as here, makes CPU seconds more.\n"
    yield _row(["Mainspring", "aim", "seen", ""])
    yield _row(["---", "---:", "---:", "---"])
    for figure, aim in AIMS.items():
        seen = _median(found["mainspring"]["rounds"], figure)
        if seen is not None:
            cells = [_write(figure, aim), _write(figure, seen), "met" if seen <= aim else "missed"]
            yield _row([ROWS[figure], *cells])
    packages, size = found["mainspring"]["packages"], found["mainspring"]["mb"]
    met = "met" if packages <= 15 and size <= 40 else "missed"
    yield _row(["packages and MB", "15 and 40", f"{packages} and {size:.0f}", met])
    yield ""


def _write(figure: str, seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms" if figure in _STEPS else f"{seconds:.2f} s"


def _cell(figure: str, median: float | None, ours: float | None, tool: Tool) -> str:
    if median is None:
        return "-"
    text = _write(figure, median)
    if tool.package == "mainspring" or not ours or ours <= 0:
        return text
    return f"{text} ({median / ours:.1f})"


def _median(rounds: list[dict[str, float]], figure: str) -> float | None:
    values = [each[figure] for each in rounds if figure in each]
    return statistics.median(values) if values else None


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
