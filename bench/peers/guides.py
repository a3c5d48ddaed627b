"""What the pages "coming from" show of another tool, run in that tool's environment."""

from __future__ import annotations

import re
from pathlib import Path

from bench.install import ROOT

FOLDER = ROOT / "docs" / "guide" / "coming-from"
_BLOCK = re.compile(r"^```python not-run: \S+ spelling\n(.*?)^```$", re.MULTILINE | re.DOTALL)

WORDS = {"metaflow": ("run",)}
"""Package -> words that its script wants."""

ANSWERS = {"metaflow": "3.0", "dagster": "3.0", "zenml": "3.0", "prefect": "285"}
"""Package -> what its small flow prints."""


def write_example(package: str, folder: Path) -> Path | None:
    """Write a tool's small flow as its page has it into a folder; None when it has no page."""
    page = FOLDER / f"{package}.md"
    found = _BLOCK.search(page.read_text("utf-8")) if page.exists() else None
    if found is None:
        return None
    path = folder / "example.py"
    path.write_text(found[1])
    return path
