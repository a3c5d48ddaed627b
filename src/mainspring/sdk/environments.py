"""Environments: what a step finds installed where it runs, locked and built once."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec

from mainspring.domain.environments import (
    Locked,
    LockEnvironment,
    check_packages,
    check_python,
    check_variables,
    name_lock,
)
from mainspring.domain.errors import Invalid
from mainspring.domain.messages import WaitRuns
from mainspring.domain.records import Run
from mainspring.domain.states import TERMINAL
from mainspring.sdk.client import Client
from mainspring.sdk.futures import explain_end

_WAIT_S = 10.0
_KEPT_S = 600.0
_locks: dict[tuple[int, str], tuple[float, str]] = {}
_default: ContextVar[Env | None] = ContextVar("mainspring_env", default=None)


class Env:
    """What a step finds in its worker: packages, locked when it is first used, and variables.

    Parameters
    ----------
    packages : sequence of str, optional
        Requirements by name, such as ``"pandas==2.2"``. The worker has what they resolve to, what Mainspring itself
        requires, and nothing else.
    python : str, optional
        Version of Python, such as ``"3.12"``; it must be that of the caller, whose code travels, so no other one is
        looked for: ENV-006 names the command that starts the caller with it. None: whichever the caller has.
    variables : mapping of str to str, or sequence of str, optional
        Environment variables of the worker's process. A sequence names variables whose values of here are taken over,
        when the step is called.

    Raises
    ------
    Invalid
        ENV-001 for what is no requirement by name; ENV-005 for what cannot be a variable, a secret among others;
        ENV-006 for what is no version.

    Notes
    -----
    Guarantees: packages are resolved once for a project, with hashes, and the lock is kept with the run of kind
    ``environment`` that made it; a worker's machine builds it once. Lock and variables are part of the cache key.

    Examples
    --------
    >>> Env(["pandas==2.2"], variables={"REGION": "eu"})
    Env(['pandas==2.2'], variables={'REGION': 'eu'})
    """

    def __init__(
        self,
        packages: Sequence[str] = (),
        *,
        python: str | None = None,
        variables: Mapping[str, str] | Sequence[str] | None = None,
    ) -> None:
        if isinstance(packages, str) or not isinstance(packages, Sequence):
            kind = "one text" if isinstance(packages, str) else "no list"
            raise Invalid("ENV-001", f"packages={packages!r:.100} is {kind}", fix=f"write Env([{packages!r:.100}])")
        self.packages = tuple(packages)
        self.python = python
        self._variables = _read_variables(variables)
        check_packages(self.packages)
        check_variables({name: "" if text is None else text for name, text in self._variables.items()})
        if python is not None:
            check_python(python)

    @property
    def variables(self) -> dict[str, str]:
        """The variables with their values, those of here as they are now.

        Raises
        ------
        Invalid
            ENV-005 when one that was only named has no value here.
        """
        found = {}
        for name, text in self._variables.items():
            value = os.environ.get(name) if text is None else text
            if value is None:
                raise Invalid("ENV-005", f"the variable {name} has no value here", fix=f"export {name}=...")
            found[name] = value
        return found

    def __repr__(self) -> str:
        parts = [repr(list(self.packages))] if self.packages else []
        parts += [f"python={self.python!r}"] if self.python else []
        parts += [f"variables={self._variables!r}"] if self._variables else []
        return f"Env({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Env) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash((self.packages, self.python, *self._variables.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (self.packages, self.python, self._variables)

    def __mainspring_digest__(self) -> str:
        return repr(self)


class Prepared(msgspec.Struct, frozen=True):
    """An environment, ready for a call: the digest of its lock, and its variables."""

    lock: str = ""
    variables: dict[str, str] = {}


HERE = Prepared()
"""What this interpreter has."""


def prepare(env: Env | None, client: Client) -> Prepared:
    """Have an environment locked, unless it is; waits for that.

    Raises
    ------
    Invalid
        ENV-005 for a variable without a value; ENV-006 when it wants another Python than this one.
    Failed
        ENV-002 when it does not resolve.
    NotFound
        ENV-004 without uv.
    """
    if env is None:
        return HERE
    here = ".".join(map(str, sys.version_info[:3]))
    if env.python is not None and not f"{here}.".startswith(f"{env.python}."):
        raise Invalid("ENV-006", f"{env!r} is called from Python {here}", fix=_find_python(env.python))
    return Prepared(_lock(env, client) if env.packages else "", env.variables)


def find_env(own: Env | None) -> Env | None:
    """Return a step's own environment, else that of the pipeline that runs."""
    return own if own is not None else _default.get()


@contextmanager
def use_env(env: Env | None) -> Iterator[None]:
    """Make an environment that of the steps called inside which have none of their own."""
    token = _default.set(env)
    try:
        yield
    finally:
        _default.reset(token)


def check_env(env: object) -> None:
    """Refuse what is no environment.

    Raises
    ------
    Invalid
        STEP-008.
    """
    if env is not None and not isinstance(env, Env):
        raise Invalid("STEP-008", f"env={env!r:.200}", why="env is an Env", fix='write env=ms.Env(["pandas==2.2"])')


def _find_python(version: str) -> str:
    """Return how to start a caller of another version: by what is installed here, or by what uv would bring."""
    import shutil  # with every compression that there is

    found = shutil.which(f"python{version}") or shutil.which(f"python{'.'.join(version.split('.')[:2])}")
    command = f"{found} -m venv .venv-{version}" if found else f"uv venv --python {version} .venv-{version}"
    return f"{command}, install the project there and start it with .venv-{version}/bin/python; or leave python= out"


def _lock(env: Env, client: Client) -> str:
    python = "" if client.remote else sys.executable
    known = id(client), name_lock(env.packages, python)
    at, digest = _locks.get(known, (0.0, ""))
    if digest and time.monotonic() - at < _KEPT_S:
        return digest
    run: Run = client.ask(LockEnvironment(packages=list(env.packages), python=python))
    while run.state not in TERMINAL:
        (run,) = client.ask(WaitRuns(ids=[run.id], wait_s=_WAIT_S))
    if run.state != "succeeded":
        raise explain_end(run)
    locked = msgspec.convert(run.details, Locked)
    _locks[known] = time.monotonic(), locked.lock
    return locked.lock


def _read_variables(given: Mapping[str, str] | Sequence[str] | None) -> dict[str, str | None]:
    if given is None:
        return {}
    if isinstance(given, str):
        raise Invalid("ENV-005", f"variables={given!r:.100} is one text", fix=f"write variables=[{given!r:.100}]")
    return dict(given) if isinstance(given, Mapping) else dict.fromkeys(given)


def _make(packages: tuple[str, ...], python: str | None, variables: dict[str, str | None]) -> Env:
    made = Env(packages, python=python)
    made._variables = variables
    return made
