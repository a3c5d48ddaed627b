"""uv: resolves requirements and fills environments; an executable, found where this interpreter is or on the path."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mainspring.domain.errors import Failed, NotFound

_RESOLVE_S = 600.0
_INSTALL_S = 1500.0
_MOST_TEXT = 600
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


def find_uv() -> Path:
    """Return the executable.

    Raises
    ------
    NotFound
        ENV-004 when there is none.
    """
    beside = Path(sys.executable).parent / "uv"
    found = beside if os.access(beside, os.X_OK) else shutil.which("uv")
    if found is None:
        raise NotFound("ENV-004", f"there is no uv beside {sys.executable}, nor on the path")
    return Path(found)


def lock(packages: Sequence[str], constraints: Sequence[str]) -> str:
    """Resolve requirements for this interpreter.

    Parameters
    ----------
    packages : sequence of str
        Requirements by name.
    constraints : sequence of str
        What must also hold of the packages that they bring.

    Returns
    -------
    str
        Each distribution with its version and the hashes of its files; the same for the same answer of the index.

    Raises
    ------
    Failed
        ENV-002 in the resolver's own words, cut short.
    """
    with tempfile.TemporaryDirectory(prefix="mainspring-lock-") as name:
        folder = Path(name)
        (folder / "packages.in").write_text("".join(f"{each}\n" for each in packages))
        (folder / "constraints.txt").write_text("".join(f"{each}\n" for each in constraints))
        words = ["pip", "compile", "packages.in", "-c", "constraints.txt", "--generate-hashes", "--no-header"]
        words += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--python", sys.executable]
        return _run(words, folder, "ENV-002", _RESOLVE_S)


def build(locked: str, folder: Path) -> None:
    """Make a virtual environment of this interpreter and install what is locked, checking every hash.

    Raises
    ------
    Failed
        ENV-003, cut short.
    """
    _run(["venv", "--no-project", "--python", sys.executable, str(folder)], folder.parent, "ENV-003", _INSTALL_S)
    text = folder / "lock.txt"
    text.write_text(locked)
    if read_packages(locked):
        words = ["pip", "sync", "--require-hashes", "--python", str(folder / "bin" / "python"), str(text)]
        _run(words, folder, "ENV-003", _INSTALL_S)


def read_packages(locked: str) -> dict[str, str]:
    r"""Return distribution -> version of a lock.

    Examples
    --------
    >>> read_packages("pandas==2.2.0 \\\n    --hash=sha256:ab\nsix==1.17\n")
    {'pandas': '2.2.0', 'six': '1.17'}
    """
    return dict(_PINNED.findall(locked))


def _run(words: list[str], folder: Path, code: str, limit_s: float) -> str:
    command = [str(find_uv()), "--color", "never", "--no-progress", "--no-python-downloads", *words]
    # A virtual environment that the caller has activated is not the one that is meant.
    environment = {name: text for name, text in os.environ.items() if name not in {"VIRTUAL_ENV", "CONDA_PREFIX"}}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(code, f"uv {words[0]} has not ended after {limit_s:.0f} s") from None
    if done.returncode:
        said = " ".join(done.stderr.split()).removeprefix("error: ")
        raise Failed(code, said if len(said) <= _MOST_TEXT else f"{said[: _MOST_TEXT - 3]}...")
    return done.stdout
