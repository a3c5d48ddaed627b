"""Docstrings of what users name: numpydoc, and what lacks a section is listed and may only become less."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.stage.docstrings import list_public
from tests.support.homes import end_owner

MISSING = Path(__file__).parent / "stage" / "undocumented.txt"
OWN = {"self", "cls"}


def find_missing(name, thing):
    """Return the sections that a docstring owes and lacks."""
    text = inspect.getdoc(thing) or ""
    if not text:
        return ["docstring"]
    inner = getattr(thing, "__func__", getattr(thing, "fget", thing))
    missing = []
    try:
        signature = inspect.signature(inner)
    except (TypeError, ValueError):
        return missing
    made_by_users = not (inspect.isclass(thing) and name.startswith("types."))
    given = [
        each.name
        for each in signature.parameters.values()
        if made_by_users and each.name not in OWN and each.kind is not each.VAR_KEYWORD
    ]
    described = "Parameters\n-" in text or "Attributes\n-" in text
    if len(given) > 1 and not described:
        missing.append("Parameters")
    if described:
        missing += [
            f"parameter {each}" for each in given if not re.search(rf"(^|[\s,*]){each}( :|,|$)", text, re.MULTILINE)
        ]
    if (
        not inspect.isclass(thing)
        and "Returns\n-" not in text
        and "Yields\n-" not in text
        and not re.match(
            r"([^.]*\breturn\b|Return|Read|Explain|Tell|Set|Wait|Count|List|Name|The|How|Which|What|Whether|When|Who|Why)",
            text,
        )
        and signature.return_annotation not in (None, "None", inspect.Signature.empty)
        and not isinstance(thing, property)
    ):
        missing.append("Returns")
    if (
        "." not in name.removeprefix("ms.").removeprefix("types.")
        and name.startswith("ms.")
        and "Examples\n-" not in text
    ):
        missing.append("Examples")
    return missing


def list_missing():
    return sorted(
        f"{name}: {section}" for name, thing in list_public().items() for section in find_missing(name, thing)
    )


def test_nothing_more_lacks_a_section():
    known = set(MISSING.read_text("utf-8").splitlines())
    now = set(list_missing())
    assert sorted(now - known) == [], "write the section; docs/guide shows what an example looks like"
    assert sorted(known - now) == [], f"remove what is written by now from {MISSING.name}"


def test_the_check_notices():
    def bare(first, second):
        return first

    def described(first, second) -> int:
        """Join.

        Parameters
        ----------
        first : int
            One.

        Returns
        -------
        int
            Both.
        """
        return first + second

    assert find_missing("types.x.bare", bare) == ["docstring"]
    assert find_missing("types.x.described", described) == ["parameter second"]
    assert "Examples" in find_missing("ms.described", described)


@pytest.mark.parametrize("name", sorted(list_public()))
def test_the_first_line_is_a_sentence(name):
    first = (inspect.getdoc(list_public()[name]) or "").split("\n\n", 1)[0]
    assert first.rstrip().endswith((".", ":", "`")), f"{name}: {first!r}"


def test_every_example_of_a_docstring_runs(home, tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSPRING_PROGRESS", "0")
    monkeypatch.setenv("PYTHONPATH", ":".join(str(Path(each).resolve()) for each in sys.path if each))
    command = [sys.executable, "-m", "tests.docs.stage.docstrings"]
    try:
        done = subprocess.run(
            command, check=False, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    finally:
        end_owner(home)
    assert done.returncode == 0, done.stdout
    assert int(done.stdout.split()[-1]) >= 30
