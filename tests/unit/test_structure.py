"""The structure gate finds what it is there to find."""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def structure():
    spec = importlib.util.spec_from_file_location("structure", ROOT / "tools" / "structure.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parse(**modules):
    return {name.replace("__", "."): ast.parse(text) for name, text in modules.items()}


def test_long_functions_are_named_with_their_line(structure):
    body = "\n".join("    x = 1" for _ in range(60))
    tree = ast.parse(f"\ndef grow():\n{body}\n")
    (breach,) = structure.check_functions(Path("a.py"), tree)
    assert breach == "a.py:2: grow has 61 lines, budget 60"


def test_a_function_at_its_budget_passes(structure):
    body = "\n".join("    x = 1" for _ in range(59))
    assert not list(structure.check_functions(Path("a.py"), ast.parse(f"def grow():\n{body}\n")))


def test_cycles_are_found_and_drawn(structure):
    modules = parse(m__a="from m.b import x", m__b="import m.c", m__c="from m import a")
    (breach,) = structure.check_cycles(modules)
    assert {"m.a", "m.b", "m.c"} <= set(breach.removeprefix("src: import cycle ").split(" -> "))


def test_imports_for_types_and_inside_functions_make_no_cycle(structure):
    modules = parse(
        m__a="if TYPE_CHECKING:\n    from m.b import x\n",
        m__b="from m.a import y\n",
        m__c="def f():\n    import m.a\n",
    )
    assert not list(structure.check_cycles(modules))


def test_a_module_that_nothing_reaches_is_dead(structure):
    modules = parse(mainspring="", mainspring__a="'mainspring.b:run'", mainspring__b="", mainspring__dead="")
    assert list(structure.check_reach(modules, {"mainspring", "mainspring.a"})) == [
        "src: nothing that runs reaches mainspring.dead"
    ]


def test_public_names_owe_a_docstring(structure):
    tree = ast.parse('"""Doc."""\nclass Open:\n    """Doc."""\n    def shut(self): ...\ndef _inner(): ...\n')
    (breach,) = structure.check_docstrings(Path("a.py"), tree)
    assert breach == "a.py:4: shut has no docstring"


def test_vague_names_are_refused(structure):
    source = Path("src/mainspring")
    assert list(structure.check_names([source / "utils" / "text.py"], source))
    assert not list(structure.check_names([source / "tracking" / "journal.py"], source))


def test_long_files_are_found_and_tests_may_be_longer(structure, tmp_path):
    for folder in ("src", "tests"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "long.py").write_text("x = 1\n" * 600)
    paths = sorted(tmp_path.rglob("*.py"))
    assert list(structure.check_files(paths, tmp_path)) == ["src/long.py: 600 lines, budget 500"]


def test_the_flights_stay_short_enough_to_be_read():
    lines = (ROOT / "examples" / "flights" / "flights.py").read_text().splitlines()
    assert len(lines) <= 100
