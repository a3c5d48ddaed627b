"""Whatever a user can name is documented: a setting, route, command, error code, entry point, root name."""

import re
import tomllib
from pathlib import Path

import click
import pytest

import mainspring
from mainspring import types
from mainspring.api.routes import TABLE, TRANSFERS
from mainspring.cli.main import cli
from mainspring.domain.catalogue import ENTRIES
from mainspring.domain.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
GUIDE = ROOT / "docs" / "guide"


def read(page):
    return (REFERENCE / page).read_text("utf-8")


def read_guide():
    return "\n".join(page.read_text("utf-8") for page in GUIDE.rglob("*.md"))


def walk(command, path=()):
    """Return the words of every command that does something."""
    if not isinstance(command, click.Group):
        return [path]
    context = click.Context(command)
    return [
        found
        for name in command.list_commands(context)
        for found in walk(command.get_command(context, name), (*path, name))
    ]


def has_name(page, name):
    return re.search(rf"^## ms\.{name}$", page, re.MULTILINE) is not None


DOCUMENTED = {
    "setting": (SETTINGS, "settings.md", lambda page, name: f"| `{name}` |" in page),
    "error code": (ENTRIES, "errors.md", lambda page, name: re.search(rf"^\| `?{name}`? \|", page, re.MULTILINE)),
    "route": (
        [f"{each.method} {each.path}" for each in (*TABLE, *TRANSFERS)],
        "http.md",
        lambda page, name: f"`{name}`" in page,
    ),
    "command": ([" ".join(path) for path in walk(cli)], "cli.md", lambda page, name: f"mainspring {name}" in page),
    "root name": (mainspring.__all__, "names.md", has_name),
}
"""What -> (its names, the page of the reference, whether the page has one)."""


@pytest.mark.parametrize("what", DOCUMENTED)
def test_the_reference_has_it(what):
    names, page, is_there = DOCUMENTED[what]
    text = read(page)
    assert [name for name in names if not is_there(text, name)] == [], f"docs/reference/{page}"


def test_the_reference_has_every_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = read("extensions.md")
    for group, targets in project["entry-points"].items():
        assert f"## {group}" in text
        for name, target in targets.items():
            assert f"| `{name}` | `{target}` |" in text
    assert [
        name for name in project["optional-dependencies"] if f"`{name}`" not in (ROOT / "README.md").read_text("utf-8")
    ] == []


def test_the_guide_speaks_of_every_root_name():
    text = read_guide()
    assert [name for name in mainspring.__all__ if not re.search(rf"\bms\.{name}\b", text)] == []


def test_the_guide_speaks_of_every_command_on_the_page_of_its_verb():
    missing = []
    for verb, *rest in walk(cli):
        text = (GUIDE / f"{verb}.md").read_text("utf-8")
        missing += [f"{verb} {word}" for word in rest if not re.search(rf"\b{word}\b", text)]
    assert missing == []


def test_public_types_say_what_they_are_for():
    assert [name for name in types.__all__ if not (getattr(types, name).__doc__ or "").strip()] == []
