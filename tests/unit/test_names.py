"""The root's names: few, lazy, typed, and none hides a package."""

import ast
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import mainspring


def test_every_name_works():
    for name in mainspring.__all__:
        assert getattr(mainspring, name) is not None


def test_no_name_hides_a_package():
    packages = {module.name for module in pkgutil.iter_modules(mainspring.__path__)}
    assert not packages & set(mainspring.__all__)


def test_type_checkers_see_every_name():
    tree = ast.parse(Path(mainspring.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: node.module for node in imports for alias in node.names}
    assert seen == {name: f"mainspring.sdk.{place}" for name, place in mainspring._MODULES.items()}


def test_the_root_and_its_light_names_load_nothing_heavy():
    program = (
        "import sys, json\n"
        "before = set(sys.modules)\n"
        "import mainspring as ms\n"
        "root = sorted(set(sys.modules) - before)\n"
        "[getattr(ms, name) for name in ('step', 'pipeline', 'run', 'runs', 'Run', 'log', 'log_params')]\n"
        "print(json.dumps([root, sorted(sys.modules)]))\n"
    )
    text = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    root, loaded = json.loads(text)
    assert [name for name in root if name.partition(".")[0] == "mainspring"] == ["mainspring"]
    heavy = {"numpy", "polars", "sqlalchemy", "alembic", "sklearn", "pandas", "cloudpickle", "matplotlib", "asyncio"}
    assert not heavy & {name.partition(".")[0] for name in loaded}
    assert not [name for name in loaded if name.startswith(("mainspring.control", "mainspring.data"))]
