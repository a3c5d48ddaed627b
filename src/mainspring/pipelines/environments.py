"""What is installed where this process runs."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from mainspring.domain.errors import Conflict
from mainspring.domain.tracking import Environment
from mainspring.pipelines.modules import list_distributions


@cache
def read_environment() -> Environment:
    """Return Python, platform and every installed distribution with its version.

    Notes
    -----
    Cost: reads the names of folders alone, 1 to 3 ms, once in a process.
    """
    packages: dict[str, str] = {}
    for entry in sys.path:
        site = Path(entry)
        if site.name in {"site-packages", "dist-packages"} and site.is_dir():
            for name, version, _ in list_distributions(site).values():
                packages.setdefault(name.lower(), version)
    python = f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}"
    return Environment(python, sysconfig.get_platform(), dict(sorted(packages.items())))


def check_needs(needs: Mapping[str, str]) -> None:
    """Refuse a call that was made with another Python, or other packages, than this process has.

    Raises
    ------
    Conflict
        ENV-007, with the first that differs.
    """
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if needs.get("python", here) != here:
        raise Conflict("ENV-007", f"the caller has Python {needs['python']}, the worker {here}")
    for name, wanted in needs.items():
        if name == "python" or wanted == "unknown":
            continue
        found = _read_version(name)
        if found != wanted:
            what = f"the caller has {name} {wanted}, the worker {found or 'has none'}"
            raise Conflict("ENV-007", what, fix=f'@ms.step(env=ms.Env(["{name}=={wanted}"])), with all that it imports')


def _read_version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # a tenth of what a small script imports

    try:
        return version(name)
    except PackageNotFoundError:
        return None
