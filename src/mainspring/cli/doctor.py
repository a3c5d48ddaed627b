"""``mainspring doctor``: whether this machine, this installation and this home are fit."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import click
import msgspec

from mainspring.cli.asking import ask
from mainspring.cli.printing import Verb, print_json, print_table, wants_json
from mainspring.cli.texts import describe_lag, shorten_id
from mainspring.domain.errors import Failed, MainspringError
from mainspring.domain.home import Home
from mainspring.domain.messages import GetStatus, Status
from mainspring.domain.near import suggest
from mainspring.domain.settings import SETTINGS
from mainspring.domain.sinks import Lag
from mainspring.domain.units import format_size, format_span

_FREE_BYTES = 1_000_000_000
_LATE_S = 60.0
_FULL = 0.9
_SQLITE = (3, 35, 0)  # RETURNING
_EXTRAS = {
    "data": ("deltalake", "numpy", "polars"),
    "onnx": ("onnx", "onnxruntime"),
    "sklearn": ("skl2onnx", "sklearn", "skops"),
    "lightgbm": ("lightgbm",),
    "xgboost": ("xgboost",),
    "torch": ("onnxscript", "torch"),
    "search": ("optuna",),
    "serve": ("httptools", "uvloop"),
    "plots": ("matplotlib",),
    "cloud": ("obstore",),
    "env": ("uv",),
    "postgresql": ("pg8000",),
}


class Check(msgspec.Struct):
    """What the doctor found: ``ok``, ``warn`` (works, but) or ``FAIL``."""

    name: str
    state: Literal["ok", "warn", "FAIL"]
    found: str
    fix: str = ""


@click.command("doctor", answer=list[Check], cls=Verb, epilog="Examples: mainspring doctor · mainspring doctor --json")
def command() -> None:
    """Check this machine, this installation and this home; each finding names its remedy."""
    checks = list(examine())
    if wants_json():
        print_json(checks)
    else:
        print_table(("check", "state", "found", "fix"), [(c.name, c.state, c.found, c.fix) for c in checks])
    failed = [check.name for check in checks if check.state == "FAIL"]
    if failed:
        raise Failed("CLI-007", f"not fit: {', '.join(failed)}", failed=failed)


def examine() -> Iterator[Check]:
    """Yield the findings, from the ground up."""
    from mainspring.sdk.homes import current_home

    yield check_python(sys.version_info[:2])
    yield check_sqlite(sqlite3.sqlite_version_info)
    yield check_settings(os.environ)
    try:
        home = current_home()
    except MainspringError as error:
        yield Check("home", "FAIL", error.what, error.fix)
        return
    yield check_writable(home)
    yield check_space(home.root, shutil.disk_usage(_find_existing(home.root)).free)
    yield check_environments(home)
    yield check_owner(lambda: ask(GetStatus()))
    yield check_sinks(lambda: ask(GetStatus()).sinks, time.time())
    yield from _look_into_record()
    yield from (check_extra(name, modules) for name, modules in _EXTRAS.items())


def _look_into_record() -> Iterator[Check]:
    try:
        status: Status = ask(GetStatus())
    except MainspringError:
        return  # `check_owner` has told it
    yield check_quota(status)
    yield check_queue(status, time.time())


def check_python(version: tuple[int, ...]) -> Check:
    """Judge the interpreter's version."""
    found = ".".join(map(str, version))
    if (3, 11) <= version < (3, 14):
        return Check("python", "ok", found)
    return Check("python", "FAIL", found, "use Python 3.11, 3.12 or 3.13")


def check_sqlite(version: tuple[int, ...]) -> Check:
    """Judge the SQLite library that Python brings."""
    found = ".".join(map(str, version))
    if version >= _SQLITE:
        return Check("sqlite", "ok", found)
    return Check("sqlite", "FAIL", found, "use a Python with SQLite 3.35 or newer")


def check_settings(environment: Mapping[str, str]) -> Check:
    """Name the settings in effect, and variables that look like one and are none."""
    given = sorted(name for name in environment if name.startswith("MAINSPRING_"))
    unknown = [name for name in given if name not in SETTINGS]
    if unknown:
        fix = suggest(unknown[0], SETTINGS, "did you mean {}?", f"unset {unknown[0]}")
        return Check("settings", "warn", f"no such setting: {', '.join(unknown)}", fix)
    return Check("settings", "ok", ", ".join(given) or "none set")


def check_writable(home: Home) -> Check:
    """Try to write where the record lies, as a network home has it elsewhere."""
    place = f"{home.root}" if home.state == home.root else f"{home.root}, metadata in {home.state}"
    for folder in (home.root, home.state):
        try:
            with tempfile.TemporaryFile(dir=_find_existing(folder)):
                pass
        except OSError as fault:
            return Check("home", "FAIL", f"{folder}: {fault.strerror}", "export MAINSPRING_HOME=~/mainspring")
    return Check("home", "ok", place)


def check_space(folder: Path, free_bytes: int) -> Check:
    """Judge the space left on the home's disk."""
    found = f"{format_size(free_bytes)} free"
    if free_bytes >= _FREE_BYTES:
        return Check("disk", "ok", found)
    return Check("disk", "warn", f"{found} at {folder}", "mainspring server collect --dry-run")


def check_environments(home: Home) -> Check:
    """Count the environments of steps on this machine, and what they hold."""
    from mainspring.compute.environments import list_environments

    found = list_environments(home.environments)
    size_bytes = sum(each.size_bytes for each in found)
    unfinished = sum(not each.used_at and not each.busy for each in found)
    told = f"{len(found)}, {format_size(size_bytes)}" if found else "none"
    if unfinished:
        return Check("environments", "warn", f"{told}; {unfinished} not whole", "mainspring server collect")
    return Check("environments", "ok", told)


def check_owner(greet: Callable[[], object]) -> Check:
    """Ask the owner for its status, and take the time of the answer."""
    begun = time.monotonic()
    try:
        greet()
    except MainspringError as error:
        return Check("owner", "FAIL", f"{error.code}: {error.what}", error.fix)
    return Check("owner", "ok", f"answers in {format_span(time.monotonic() - begun)}")


def check_quota(status: Status) -> Check:
    """Judge what the project holds against what it may hold."""
    if not status.quota_bytes:
        return Check("quota", "ok", f"{format_size(status.used_bytes)} held, no limit")
    found = f"{format_size(status.used_bytes)} of {format_size(status.quota_bytes)} held"
    if status.used_bytes < status.quota_bytes * _FULL:
        return Check("quota", "ok", found)
    return Check("quota", "warn", found, "mainspring projects set NAME --quota SIZE, or mainspring runs delete")


def check_queue(status: Status, now: float) -> Check:
    """Name a run that has been queued for long."""
    waits = status.waits
    if waits is None or now - waits.since < _LATE_S:
        return Check("queue", "ok", "nothing waits for long")
    told = f"{waits.name} {shorten_id(waits.run_id)} waits for {format_span(now - waits.since)}: {waits.reason}"
    return Check("queue", "warn", told, f"mainspring why {shorten_id(waits.run_id)}")


def check_sinks(find: Callable[[], list[Lag]], now: float) -> Check:
    """Name the sinks whose receivers do not take what is sent, or have refused some of it."""
    try:
        lags = find()
    except MainspringError as error:
        return Check("sinks", "FAIL", f"{error.code}: {error.what}", error.fix)
    late = [each for each in lags if each.tries or (each.waits_since is not None and now - each.waits_since > _LATE_S)]
    found = [f"{each.name}: {describe_lag(each)}" for each in lags if each in late or each.set_aside]
    if not found:
        return Check("sinks", "ok", f"{len(lags)}, none lags" if lags else "none")
    return Check("sinks", "warn", "; ".join(found), f"mainspring sinks show {found[0].partition(':')[0]}")


def check_extra(name: str, modules: tuple[str, ...]) -> Check:
    """Tell whether the libraries of an extra are there and load."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        return Check(f"[{name}]", "warn", f"without {', '.join(missing)}", f"pip install 'mainspring[{name}]'")
    if name in {"lightgbm", "xgboost"} and not _has_openmp():
        return Check(f"[{name}]", "warn", "libgomp.so.1 is missing", "sudo apt-get install libgomp1")
    return Check(f"[{name}]", "ok", "installed")


def _has_openmp() -> bool:
    import ctypes

    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        return os.name != "posix" or sys.platform == "darwin"
    return True


def _find_existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
