"""What is installed where this process runs."""

from __future__ import annotations

import sys
import sysconfig
from functools import cache
from pathlib import Path

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
