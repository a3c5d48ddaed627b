"""The locks: pinned, hashed, of one mind, and without an address in them."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = {path.stem: path.read_text("utf-8") for path in (ROOT / "requirements").glob("*.txt")}
PINS = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; (.*?))? \\$", re.MULTILINE)


def read_pins(name):
    return {match[1]: match[2] for match in PINS.finditer(LOCKS[name])}


@pytest.mark.parametrize("name", ["build", "core", "dev"])
def test_every_line_is_a_pin_or_its_hash(name):
    for line in LOCKS[name].splitlines():
        assert PINS.match(f"{line}\n") or re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", line), line
    for block in re.split(r"\n(?=\S)", LOCKS[name].strip()):
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_no_address_is_named(name):
    assert not re.search(r"://|@ |--(index|extra-index|find-links)|/opt|/home", LOCKS[name])


def test_core_and_build_are_parts_of_dev():
    dev = read_pins("dev")
    assert read_pins("core").items() <= dev.items()
    for package, version in read_pins("build").items():
        assert dev.get(package, version) == version
    assert "pandas" not in dev


def test_every_dependency_is_locked_and_argued():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    names = {re.split(r"[\[><=!;~ ]", line)[0] for line in [*project["dependencies"], *extras]} - {"mainspring"}
    record = (ROOT / "docs" / "adr" / "0003-choose-dependencies.md").read_text("utf-8")
    # PyTorch is pinned without a hash: its builds differ from place to place.
    assert re.search(r"^torch==", LOCKS["torch"], re.MULTILINE)
    assert sorted(names - read_pins("dev").keys() - read_pins("torch").keys() - {"torch"}) == []
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", record)) == []
    core = {re.split(r"[><=]", line)[0] for line in project["dependencies"]}
    assert core <= read_pins("core").keys()
