"""What the URL of a pool of Kubernetes says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from mainspring.compute.engine import Node
from mainspring.compute.reach import OPTIONS, Reach, read_reach
from mainspring.domain.errors import Invalid

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,400}\Z")
_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
_PATH = re.compile(r"/[A-Za-z0-9._/-]{1,200}\Z")
_EFFECTS = frozenset({"", "NoSchedule", "PreferNoSchedule", "NoExecute"})
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(m|[kMGTPE]i?|Ki|e[+-]?[0-9]{1,2})?\Z")
_FACTORS = {"": 1.0, "m": 1e-3, "k": 1e3} | {letter: 1000.0 ** (at + 2) for at, letter in enumerate("MGTPE")}
_FACTORS |= {f"{letter}i": 1024.0 ** (at + 1) for at, letter in enumerate("KMGTPE")}
_SINGLE = frozenset({"image", "python", "queue", "account", "pull", "gpu", "kubeconfig", "cpus", "memory", "gpus"})
_REPEATED = frozenset({"claim", "secret", "tolerate", "select"})


class Address(msgspec.Struct, frozen=True):
    """What the URL of a pool says.

    Attributes
    ----------
    context, namespace : str
        Of the kubeconfig, and where jobs are made.
    image, python : str
        What runs, and its interpreter that can import mainspring.
    reach : Reach
        How workers reach the home.
    queue : str
        A queue of Kueue's; empty: the cluster places pods itself.
    account, pull : str
        Service account of pods, and the secret by which images are pulled.
    gpu : str
        What devices are called.
    kubeconfig : str
        Its path; empty: where kubectl looks.
    share : Node or None
        What is counted with in place of the cluster's nodes.
    claims : tuple of (str, str)
        Volume claims, and where they are mounted.
    secrets : tuple of str
        Secrets whose keys become variables.
    tolerations : tuple of (str, str, str)
        Key, value and effect of taints that do not matter.
    selector : tuple of (str, str)
        Labels that nodes must have.
    """

    context: str
    namespace: str
    image: str
    reach: Reach
    python: str = "python3"
    queue: str = ""
    account: str = ""
    pull: str = ""
    gpu: str = "nvidia.com/gpu"
    kubeconfig: str = ""
    share: Node | None = None
    claims: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    tolerations: tuple[tuple[str, str, str], ...] = ()
    selector: tuple[tuple[str, str], ...] = ()


def read_address(url: str) -> Address:
    """Read the URL of a pool.

    Raises
    ------
    Invalid
        WORK-017 when it says something else.

    Examples
    --------
    >>> pin = "server=https://lab:8430&certificate=" + "0" * 64
    >>> address = read_address(f"k8s://admin@lab/team-a?image=lab/ml:3&tolerate=gpu:NoSchedule&claim=data:/data&{pin}")
    >>> address.context, address.namespace, address.tolerations, address.claims
    ('admin@lab', 'team-a', (('gpu', '', 'NoSchedule'),), (('data', '/data'),))
    """
    try:
        parts = urlsplit(url)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _refuse("the address has no readable options") from None
    context, namespace = unquote(parts.netloc), parts.path.strip("/")
    names = [name for name, _ in options]
    unknown = [name for name, text in options if name not in _SINGLE | _REPEATED | OPTIONS or not text or "\0" in text]
    twice = [name for name in names if names.count(name) > 1 and name not in _REPEATED]
    if unknown or twice:
        raise _refuse(f"the options {', '.join(unknown + twice)[:200]} are not its own, each once")
    given = dict(options)
    for what, text, pattern in (
        ("context", context, re.compile(r"[^\0]{1,253}\Z")),
        ("namespace", namespace, _LABEL),
        ("image", given.get("image", ""), _IMAGE),
        ("queue", given.get("queue", "x"), _LABEL),
        ("account", given.get("account", "x"), _NAME),
        ("pull", given.get("pull", "x"), _NAME),
        ("gpu", given.get("gpu", "x"), _KEY),
    ):
        if not pattern.match(text):
            raise _refuse(f"{what} is {text[:80]!r}, which is no name of one")
    try:
        reach = read_reach(given)
        return Address(
            context,
            namespace,
            reach=reach,
            share=_read_share(given),
            claims=tuple(_read_claim(text) for name, text in options if name == "claim"),
            secrets=tuple(_check(text, _NAME) for name, text in options if name == "secret"),
            tolerations=tuple(_read_toleration(text) for name, text in options if name == "tolerate"),
            selector=tuple(_read_pair(text) for name, text in options if name == "select"),
            **{name: given[name] for name in _SINGLE & set(given) - {"cpus", "memory", "gpus"}},
        )
    except ValueError as fault:
        raise _refuse(str(fault)) from None


def read_quantity(text: str) -> float:
    """Read an amount as Kubernetes writes it.

    Raises
    ------
    ValueError
        It is none.

    Examples
    --------
    >>> read_quantity("3920m"), read_quantity("16Gi"), read_quantity("12e6")
    (3.92, 17179869184.0, 12000000.0)
    """
    found = _QUANTITY.match(str(text))
    if found is None:
        raise ValueError(f"{text!r} is no amount")
    suffix = found[2] or ""
    return float(found[1]) * (float(f"1{suffix}") if suffix[:1] == "e" else _FACTORS[suffix])


def _read_share(given: Mapping[str, str]) -> Node | None:
    asked = {name: given[name] for name in ("cpus", "memory", "gpus") if name in given}
    if not asked:
        return None
    amounts = {name: read_quantity(text) for name, text in asked.items()}
    if amounts.get("cpus", 0) <= 0 or amounts.get("memory", 0) <= 0:
        raise ValueError("a share has cpus= and memory=, and gpus= where there are some")
    return Node("share", amounts["cpus"], int(amounts["memory"]), amounts.get("gpus", 0.0))


def _read_claim(text: str) -> tuple[str, str]:
    name, _, path = text.partition(":")
    return _check(name, _NAME), _check(path, _PATH)


def _read_toleration(text: str) -> tuple[str, str, str]:
    pair, _, effect = text.partition(":")
    key, _, value = pair.partition("=")
    if effect not in _EFFECTS:
        raise ValueError(f"{effect[:80]!r} is no effect of a taint")
    return _check(key, _KEY), _check(value, _LABEL) if value else "", effect


def _read_pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return _check(key, _KEY), _check(value, _LABEL)


def _check(text: str, pattern: re.Pattern[str]) -> str:
    if not pattern.match(text):
        raise ValueError(f"{text[:80]!r} is no name in Kubernetes")
    return text


def _refuse(what: str) -> Invalid:
    return Invalid("WORK-017", what)
