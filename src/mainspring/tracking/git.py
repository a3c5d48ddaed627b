"""What Git knows of a folder."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

from mainspring.domain.tracking import Git
from mainspring.security.likely import mask_likely

_MOST_DIFF = 200_000
_PROTOCOL = re.compile(r"^([a-z+]+://)?([^@/]*@)?")
_MOST_UNTRACKED = 100
_SECRET_FILES = ("**/.env*", "**/*.pem", "**/*.key", "**/*.p12", "**/id_rsa*", "**/id_ed25519*", "**/*credentials*")


def read_git(folder: Path, patience_s: float = 2.0) -> Git | None:
    """Ask Git for commit, branch and what differs from the commit.

    Parameters
    ----------
    folder : Path
        Inside of a work tree, or not.
    patience_s : float, default 2.0
        A work tree so large that Git takes longer gets a commit at most.

    Returns
    -------
    Git or None
        None outside of a work tree, and where there is no Git.

    Notes
    -----
    Guarantees: nothing of the work tree is changed, no program that its settings name is started.
    Files whose names are those of keys are left out of the diff. Cost: 2 or 3 processes of a few
    milliseconds each.
    """
    if not any((each / ".git").exists() for each in (folder, *folder.parents)):
        return None
    until = time.monotonic() + patience_s
    told = _ask(folder, until, "status", "--porcelain=v2", "--branch", "--no-ahead-behind", "-z")
    if told is None:
        commit = _ask(folder, until + 1.0, "rev-parse", "HEAD")
        return Git(commit.strip()) if commit else None
    heads: dict[str, str] = {}
    untracked: list[str] = []
    dirty = False
    for line in told.split("\0"):
        kind, _, rest = line.partition(" ")
        if kind == "#":
            name, _, heads[name] = rest.partition(" ")
        elif kind == "?":
            untracked.append(rest)
        elif kind in {"1", "2", "u"}:
            dirty = True
    commit = heads.get("branch.oid", "")
    commit = "" if commit == "(initial)" else commit
    branch = heads.get("branch.head", "")
    remote = _ask(folder, until, "config", "--get", "remote.origin.url") or ""
    return Git(
        commit,
        "" if branch == "(detached)" else branch,
        mask_likely(remote.strip()),
        dirty,
        _read_diff(folder, until) if dirty and commit else "",
        sorted(untracked)[:_MOST_UNTRACKED],
    )


def find_place(path: Path, patience_s: float = 2.0) -> str | None:
    """Return where a file stands in the repository that its work tree was cloned from; None: it was not.

    Notes
    -----
    The same for everybody who has cloned it, by whatever protocol and as whatever user.
    """
    if not any((each / ".git").exists() for each in path.parents):
        return None
    until = time.monotonic() + patience_s
    told = _ask(path.parent, until, "config", "--get", "remote.origin.url")
    within = _ask(path.parent, until, "rev-parse", "--show-prefix")
    if not told or within is None:
        return None
    origin = _PROTOCOL.sub("", told.strip()).replace(":", "/").rstrip("/").removesuffix(".git")
    return f"{origin}:{within.strip()}{path.name}"


def _read_diff(folder: Path, until: float) -> str:
    left_out = [f":(exclude,glob,top){pattern}" for pattern in _SECRET_FILES]
    text = _ask(folder, until, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color", "--", ":/", *left_out)
    masked = mask_likely((text or "")[: 2 * _MOST_DIFF])
    if len(masked) <= _MOST_DIFF:
        return masked
    return f"{masked[:_MOST_DIFF]}\n... cut, {len(text or ''):,} characters in all"


def _ask(folder: Path, until: float, *words: str) -> str | None:
    """Return what Git prints; None when it fails or takes too long."""
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-C", str(folder), *words]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    patience_s = max(until - time.monotonic(), 0.0)
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=patience_s,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
