"""The fingerprint of a call: all that its result depends on, and the key made of it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from mainspring.domain.records import Fingerprint
from mainspring.pipelines.contents import digest_constant, digest_content
from mainspring.pipelines.reach import find_reach

VERSION = 1


def fingerprint(
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    lock: str = "",
) -> Fingerprint:
    """Find what the result of a call depends on.

    Parameters
    ----------
    function : callable
        The plain function of a step.
    arguments : mapping of str to object
        Its bound arguments, defaults included.
    environment : mapping of str to str, optional
        Declared variables; only digests of the values are kept.
    lock : str, default ""
        Digest of the lock of the environment that the function runs in. It counts in the place of what is
        installed for this interpreter.

    Returns
    -------
    Fingerprint
        Code reached inside the project, content of the inputs, Python's minor version and the
        distributions reached.

    Raises
    ------
    Invalid
        STEP-002 when an argument, or what the code reads, has no content.

    Notes
    -----
    Guarantees: the same in every process and folder. Comments, layout and docstrings do not
    count, nor does Mainspring's own version. Cost: some 50 us for known functions and small
    inputs; the first time a function is met its file is parsed.
    """
    reach = find_reach(function)
    code = dict(reach.code)
    for label, value in reach.constants:
        code[label] = digest_constant(value, label)
    inputs = {name: digest_content(value, f"argument {name}") for name, value in arguments.items()}
    found = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    found |= {"lock": lock[:16]} if lock else reach.environment
    for name, text in (environment or {}).items():
        found[f"${name}"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Fingerprint(VERSION, code, inputs, found)


def key(found: Fingerprint) -> str:
    """Make the cache key of a fingerprint.

    Returns
    -------
    str
        64 hexadecimal characters; independent of the order of what was found, and of the files
        that code stands in.
    """
    code = sorted((label.rpartition(":")[2], digest) for label, digest in found.code.items())
    body = (found.version, code, sorted(found.inputs.items()), sorted(found.environment.items()))
    return hashlib.sha256(repr(body).encode()).hexdigest()
