"""The blocks of the guide are run in order, in a project like the one they speak of."""

import ast
import shutil
from pathlib import Path

import pytest
from tests.docs.stage.blocks import KINDS, read_blocks, split_console
from tests.docs.stage.preludes import PRELUDES
from tests.docs.stage.project import FOLDER, Project

ROOT = Path(__file__).resolve().parents[2]
LAST = ("studies",)
"""Pages that speak of what another page makes."""
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "guide").rglob("*.md"), key=lambda page: (page.stem in LAST, page)),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_what_it_is_or_why_it_is_not_run(page):
    for block in read_blocks(page):
        assert block.kind in KINDS, f"{block.place}: begin the block with one of {KINDS}"
        if block.kind == "console" and not block.excuse:
            assert split_console(block.body), f"{block.place}: no line begins with `$ `"
        if block.kind == "python" and not block.excuse:
            ast.parse(block.body)


@pytest.mark.timeout(1800)
def test_every_example_of_the_guide_runs(tmp_path):
    project = Project(tmp_path)
    try:
        for name in ("flights.py", "hello.py"):
            source = FOLDER / name if name == "flights.py" else ROOT / "examples" / "hello" / name
            (project.folder / name).write_text(source.read_text("utf-8"))
        for name in ("nodes.csv", "pods.csv"):
            shutil.copyfile(ROOT / "tests/data/gpu-trace" / name, project.folder / name)
        code, text = project.shell("python flights.py && mainspring users add anna --role editor")
        assert code == 0, text
        faults = [
            fault
            for page in PAGES
            for fault in project.run_page(read_blocks(page), PRELUDES.get(page.stem, "import mainspring as ms\n"))
        ]
    finally:
        project.close()
    assert not faults, "\n\n".join(faults)
