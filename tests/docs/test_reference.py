"""The documents say what the code does."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from tests.support.shapes import load_reference

import mainspring
from mainspring.cli.main import VERBS, cli
from mainspring.domain.catalogue import ENTRIES
from mainspring.domain.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "mainspring").rglob("*.py"))
GUIDE = ROOT / "docs" / "guide"
CODE = re.compile(r"([A-Z]+-\d{3})(?=: |\Z)")
CATALOGUE = ROOT / "src" / "mainspring" / "domain" / "catalogue"


def read_texts(path):
    """Return the text constants of a module, docstrings apart."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


def find_codes_in_use():
    return {
        found[1]: path
        for path in SOURCES
        if CATALOGUE not in path.parents
        for text in read_texts(path)
        if (found := CODE.match(text))
    }


def test_every_code_in_use_is_in_the_catalogue():
    unknown = {code: str(path) for code, path in find_codes_in_use().items() if code not in ENTRIES}
    assert unknown == {}


def test_every_code_of_the_catalogue_is_in_use():
    assert sorted(ENTRIES.keys() - find_codes_in_use().keys()) == []


@pytest.mark.parametrize("code", sorted(ENTRIES))
def test_every_code_says_what_why_and_the_way_out(code):
    entry = ENTRIES[code]
    assert CODE.fullmatch(code)
    assert entry.title
    assert entry.why
    assert entry.fix
    assert not entry.fix.endswith(".")
    assert 1 <= entry.exit_code <= 6
    assert 400 <= entry.http_status <= 503


def test_every_fix_that_is_a_command_exists():
    for entry in ENTRIES.values():
        for verb in re.findall(r"(?<!install )\bmainspring ([a-z]+)\b", entry.fix):
            assert verb in VERBS, f"{entry.code}: {entry.fix}"


def test_every_setting_that_the_code_reads_is_documented():
    used = {text for path in SOURCES for text in read_texts(path) if re.fullmatch(r"MAINSPRING_[A-Z_]+", text)}
    assert used == set(SETTINGS)


def test_every_verb_has_a_page():
    assert set(VERBS) - {path.stem for path in GUIDE.glob("*.md")} == set()
    assert list(cli.commands) == []


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_leads_to_an_example(verb):
    command = cli.get_command(None, verb)
    assert command.name == verb
    assert re.search(rf"Examples?: .*mainspring {verb}", command.epilog)
    assert command.help


READERS = {"status", "runs", "show", "diff", "logs", "why", "services", "alarms", "data", "gates", "compare",
    "models", "quarantine", "pipelines", "studies", "projects", "users", "tokens", "secrets", "sinks", "pools", "nodes",
    "quotas", "audit", "verify", "export", "doctor", "completion"}  # fmt: skip
"""Verbs and bare nouns that change nothing."""


def test_what_changes_something_can_be_tried_or_says_why_not():
    for each in load_reference().list_answers(cli):
        *_, last = words = each.command.split()[1:]
        command = cli
        for word in words:
            command = command.get_command(None, word)
        options = {option for param in command.params for option in param.opts}
        tried = "--dry-run" in options
        said = "There is no --dry-run: " in (command.help or "")
        reads = last in READERS
        assert tried + said + reads == 1, (each.command, tried, said, reads)


def test_every_page_is_reached_from_an_index():
    for folder in [GUIDE, *(ROOT / "docs" / name for name in ("guide/coming-from", "benchmarks", "reference", "adr"))]:
        index = (folder / "README.md").read_text("utf-8")
        for path in folder.glob("*.md"):
            assert path.name == "README.md" or f"({path.name})" in index, path


def test_the_root_has_exactly_the_names_that_work():
    assert sorted(mainspring.__all__) == sorted(set(mainspring.__all__))
    packages = {path.parent.name for path in SOURCES if path.name == "__init__.py"}
    assert not packages & set(mainspring.__all__)
    for name in mainspring.__all__:
        assert getattr(mainspring, name).__doc__, name


def test_the_reference_is_current():
    reference = load_reference()
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"].get("entry-points", {})
    assert set(groups) <= set(reference.GROUPS)
    assert reference.find_stale() == [], "run: make docs"
