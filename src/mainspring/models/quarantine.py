"""Pickles of model folders: opened in a process of its own, which hands back the model in a safe format."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from mainspring.domain.errors import Invalid
from mainspring.models.apart import keep_settings

_PATIENCE_S = 300.0


def convert_pickle(content: bytes) -> tuple[str, bytes]:
    """Have another process open a pickle and write the model in its flavor's format.

    Parameters
    ----------
    content : bytes
        A pickle whose code the user allowed to run.

    Returns
    -------
    tuple of str and bytes
        The flavor's name, and what its `save` wrote.

    Raises
    ------
    Invalid
        MODEL-061 when the pickle cannot be opened there, or the model has no safe format.

    Notes
    -----
    The process is this interpreter with an empty folder of its own to work in, and without the settings and keys of
    this one. What else it may do is what its user may.
    """
    with tempfile.TemporaryDirectory(prefix="mainspring-") as folder:
        (Path(folder) / "model.pkl").write_bytes(content)
        words = [sys.executable, "-m", "mainspring.models.quarantine", "model.pkl", "model"]
        settings = keep_settings() | {"HOME": folder}
        try:
            done = subprocess.run(
                words, cwd=folder, env=settings, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
            )
            told = json.loads(done.stdout.splitlines()[-1])
        except subprocess.TimeoutExpired:
            raise Invalid("MODEL-061", f"the pickle was not opened within {_PATIENCE_S:g} s") from None
        except (IndexError, ValueError):
            raise Invalid("MODEL-061", f"the process that opened the pickle ended with {done.returncode}") from None
        if told["problem"]:
            raise Invalid("MODEL-061", f"the pickle gives no model that is kept: {told['problem']}")
        return str(told["flavor"]), (Path(folder) / "model").read_bytes()


def run(source: str, target: str) -> None:
    """Open a pickle, write the model, and print what was found; the other side of `convert_pickle`."""
    from mainspring.models.flavors import find_flavor
    from mainspring.security.unsafe import unpickle_allowed

    told = {"flavor": "", "problem": ""}
    try:
        model = unpickle_allowed(Path(source).read_bytes())
        flavor = find_flavor(model)
        Path(target).write_bytes(flavor.save(model))
        told["flavor"] = flavor.name
    except Exception as fault:  # noqa: BLE001  code of others runs here, and may raise anything
        told["problem"] = f"{type(fault).__name__}: {fault}".partition("\n")[0]
    sys.stdout.write("\n" + json.dumps(told) + "\n")


if __name__ == "__main__":
    run(*sys.argv[1:3])
