"""Measure Mainspring beside its peers and write docs/benchmarks/peers.md; `make bench-peers`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.install import ROOT, list_versions, weigh
from bench.peers.page import render_page
from bench.peers.rounds import Round
from bench.peers.tools import TOOLS, Tool
from bench.peers.trees import adopt_orphans

PAGE = ROOT / "docs" / "benchmarks" / "peers.md"


def main() -> int:
    """Measure in alternating rounds, print the page, and write it when asked."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="rounds; each measures every tool once")
    parser.add_argument("--only", nargs="*", default=[tool.package for tool in TOOLS], help="packages")
    parser.add_argument("--wide", action="store_true", help="also a thousand steps, a hundred at once, once a tool")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    parser.add_argument("--raw", type=Path, help="write what was measured as JSON")
    parser.add_argument("--from", dest="read", type=Path, nargs="+", help="render raw files instead of measuring")
    chosen = parser.parse_args()
    if chosen.read:
        facts = merge([json.loads(path.read_text()) for path in chosen.read])
    else:
        facts = measure([tool for tool in TOOLS if tool.package in chosen.only], chosen.repeats, wide=chosen.wide)
    if chosen.raw:
        chosen.raw.write_text(json.dumps(facts, indent=1) + "\n")
    page = render_page(facts)
    print(page)
    if chosen.write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page)
    return 0


def measure(tools: list[Tool], repeats: int, *, wide: bool) -> dict[str, Any]:
    """Return what was measured of each tool, and on what."""
    adopt_orphans()
    pythons = {tool.package: tool.install() for tool in tools}
    found = {tool.package: _weigh(tool, pythons[tool.package]) for tool in tools}
    folder = Path(tempfile.mkdtemp(prefix="peers-"))
    loads = []
    try:
        for tool in tools:
            Round(tool, pythons[tool.package], folder / f"{tool.package}-guide").try_example()
        for turn in range(repeats):
            for tool in tools[turn % len(tools) :] + tools[: turn % len(tools)]:
                loads.append(os.getloadavg()[0])
                began = time.monotonic()
                spent = Round(tool, pythons[tool.package], folder / f"{tool.package}-{turn}").run()
                found[tool.package]["rounds"].append(spent)
                print(f"{tool.name} round {turn + 1}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        for tool in tools if wide else ():
            if "wide" in tool.command:
                found[tool.package]["wide"] = Round(tool, pythons[tool.package], folder / f"{tool.package}-wide").wide()
                print(f"{tool.name} wide: {found[tool.package]['wide']}", file=sys.stderr)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"date": time.strftime("%Y-%m-%d", time.gmtime()), "cores": os.cpu_count(), "loads": loads, "tools": found}


def merge(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return several measurements as one: their rounds together, of anything else the last."""
    whole: dict[str, Any] = {"loads": [], "tools": {}}
    for part in parts:
        loads, tools = whole["loads"] + part["loads"], whole["tools"]
        for name, found in part["tools"].items():
            known = tools.get(name, {"rounds": []})
            tools[name] = {**known, **found, "rounds": known["rounds"] + found["rounds"]}
        whole = {**part, "loads": loads, "tools": tools}
    return whole


def _weigh(tool: Tool, python: Path) -> dict[str, Any]:
    weights = weigh(python)
    versions = list_versions(python)
    return {
        "version": versions[tool.package],
        "packages": len(weights),
        "mb": sum(weights.values()),
        "rounds": [],
    }


if __name__ == "__main__":
    sys.exit(main())
