"""A wheel of this clone, installed alone: how many packages, how many MB."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "core.txt"

_COUNT = """
import importlib.metadata as metadata, json, pathlib
found = {d.name: sum(p.stat().st_size for f in d.files or () if (p := pathlib.Path(d.locate_file(f))).is_file()
         and p.suffix != ".pyc") for d in metadata.distributions()}
print(json.dumps(found))
"""

_VERSIONS = """
import importlib.metadata as metadata, json
print(json.dumps({d.name.lower(): d.version for d in metadata.distributions()}))
"""


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this clone into a folder and return its path."""
    run_tool(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder.resolve()))
    return max(folder.glob("mainspring-*.whl"), key=lambda path: path.stat().st_mtime)


def install_core(wheel: Path) -> Path:
    """Install a wheel and the locked core, nothing else, and return the interpreter.

    The environment is kept below ``.venv`` for as long as the lock stays the same, so that only
    the first call needs the network.
    """
    folder = ROOT / ".venv" / f"core-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    done = folder / "done"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        run_tool(sys.executable, "-m", "venv", "--without-pip", str(folder))
        _pip(python, "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK))
        done.touch()
    _pip(python, "--no-deps", "--no-index", "--force-reinstall", str(wheel))
    return python


def weigh(python: Path) -> dict[str, float]:
    """Return the distributions of an environment and their MB, byte code apart."""
    found = json.loads(run_tool(str(python), "-I", "-c", _COUNT))
    return {name: size_bytes / 1e6 for name, size_bytes in found.items()}


def list_versions(python: Path) -> dict[str, str]:
    """Return the distributions of an environment and their versions."""
    found: dict[str, str] = json.loads(run_tool(str(python), "-I", "-c", _VERSIONS))
    return found


def _pip(python: Path, *words: str) -> None:
    run_tool(
        sys.executable, "-m", "pip", "--python", str(python), "install", "-qq", "--no-input",
        "--disable-pip-version-check", *words,
    )  # fmt: skip


def run_tool(*command: str) -> str:
    """Run a command in the clone and return what it printed.

    Raises
    ------
    RuntimeError
        It failed, with what it said.
    """
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
