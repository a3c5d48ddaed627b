"""Why a step ran, or did not, from two fingerprints."""

from __future__ import annotations

from mainspring.domain.records import Fingerprint

_SHOWN = 3
_LITERAL = "="


def explain(old: Fingerprint | None, new: Fingerprint, *, name: str = "", since: str = "", unusable: str = "") -> str:
    """Say in one line why a step runs or is a hit.

    Parameters
    ----------
    old : Fingerprint or None
        Of the latest earlier run of this step; None means there is none.
    new : Fingerprint
        Of the call.
    name : str, default ""
        Name of the step; empty means that of its function.
    since : str, default ""
        Id of the run that `old` belongs to.
    unusable : str, default ""
        Why a result with the same key does not serve: ``it failed``, ``its result is gone``,
        ``cache=False``; empty means that it serves.

    Returns
    -------
    str
        ``first run of features``, ``cached: nothing changed since run 5b1c``, or ``ran again:``
        with at most three of the differences.

    Examples
    --------
    >>> old = Fingerprint(1, {"f.py:fit()": "a"}, {"rate": "=0.1"}, {})
    >>> explain(None, old)
    'first run of fit'
    >>> explain(old, Fingerprint(1, {"f.py:fit()": "a"}, {"rate": "=0.2"}, {}))
    'ran again: parameter rate 0.1 -> 0.2'
    """
    if old is None:
        return f"first run of {name or _own_name(new)}"
    differences = find_differences(old, new)
    run = f" run {since[-6:]}" if since else ""
    if not differences:
        if unusable:
            return f"ran again: {unusable}"
        return f"cached: nothing changed since{run}" if run else "cached: nothing changed"
    shown = differences[:_SHOWN]
    if len(differences) > _SHOWN:
        shown.append(f"{len(differences) - _SHOWN} more")
    return "ran again: " + ", ".join(shown)


def find_differences(old: Fingerprint, new: Fingerprint) -> list[str]:
    """List what differs, in words: rules, code, inputs, environment.

    Returns
    -------
    list of str
        Empty when the two are equal.
    """
    if old.version != new.version:
        return [f"the rules of cache keys changed (version {old.version} -> {new.version})"]
    return [*_compare_code(old, new), *_compare_inputs(old, new), *_compare_environment(old, new)]


def _compare_code(old: Fingerprint, new: Fingerprint) -> list[str]:
    root = next(iter(new.code), "")
    found = []
    for label, now in new.code.items():
        before = old.code.get(label, now)
        if before != now:
            values = f" {before[1:]} -> {now[1:]}" if before.startswith(_LITERAL) and now.startswith(_LITERAL) else ""
            found.append(f"{_describe(label, root)} changed{values}")
    found += [f"{_describe(label, root)} is new" for label in new.code if label not in old.code]
    found += [f"{_describe(label, root)} is no longer used" for label in old.code if label not in new.code]
    return found


def _compare_inputs(old: Fingerprint, new: Fingerprint) -> list[str]:
    found = []
    for name, now in new.inputs.items():
        before = old.inputs.get(name)
        if before is None:
            found.append(f"argument {name} is new")
        elif before != now:
            both = before.startswith(_LITERAL) and now.startswith(_LITERAL)
            found.append(f"parameter {name} {before[1:]} -> {now[1:]}" if both else f"input {name} changed")
    return found + [f"argument {name} is gone" for name in old.inputs if name not in new.inputs]


def _compare_environment(old: Fingerprint, new: Fingerprint) -> list[str]:
    names = list(dict.fromkeys([*new.environment, *old.environment]))
    return [
        f"environment: {name} {old.environment.get(name, 'absent')} -> {new.environment.get(name, 'absent')}"
        for name in names
        if old.environment.get(name) != new.environment.get(name)
    ]


def _describe(label: str, root: str) -> str:
    """Turn a label such as ``flights.py:clean()`` into words."""
    file, mark, name = label.partition(":")
    if not mark:
        return f"module {file}"
    if name.startswith("class "):
        return f"{name} of {file}"
    if not name.endswith("()"):
        return f"constant {name} of {file}"
    return f"{name} of {file}" if label == root else f"helper {name} of {file}"


def _own_name(fingerprint: Fingerprint) -> str:
    label = next(iter(fingerprint.code), "the step")
    return label.rpartition(":")[2].removesuffix("()").rpartition(".")[2]
