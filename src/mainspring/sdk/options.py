"""Options of steps and pipelines: how and where they run."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mainspring.domain.backoff import FIRST_S
from mainspring.domain.errors import Invalid
from mainspring.domain.records import Resources
from mainspring.domain.units import parse_duration, parse_size
from mainspring.sdk.environments import Env, check_env, find_env

_MOST_NODES = 4096
_MOST_TYPES = 16
_LONGEST_TYPE = 100
_MOST = 1_000_000
"""Of cores, devices and retries; what is more is a mistake."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How and where a step runs; the parameters of `step` in plain units."""

    cache: bool = True
    sensitive: bool = False
    resources: Resources = Resources()
    retries: int = 0
    backoff_s: float = FIRST_S
    timeout_s: float | None = None
    env: Env | None = None

    @property
    def elsewhere(self) -> bool:
        """Whether a plain call goes to a worker."""
        asks = self.resources
        elsewhere = asks.cpus > 1 or asks.memory_bytes is not None or asks.gpus or asks.pool or asks.nodes > 1
        return bool(elsewhere or self.timeout_s is not None or find_env(self.env) is not None)


def make_options(
    *,
    cache: bool = True,
    sensitive: bool = False,
    cpus: float = 1,
    memory: str | int | None = None,
    gpus: float = 0,
    gpu_type: str | Sequence[str] | None = None,
    nodes: int = 1,
    pool: str | None = None,
    env: Env | None = None,
    retries: int = 0,
    backoff: str | float = FIRST_S,
    timeout: str | float | None = None,
) -> Options:
    """Check the options of a step and bring them to plain units.

    Raises
    ------
    Invalid
        STEP-008, RUN-003 or RUN-004, with the wrong value.
    """
    check_env(env)
    for name, value, least, above in (
        ("cpus", cpus, 0, True),
        ("gpus", gpus, 0, False),
        ("retries", retries, 0, False),
    ):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not (value > least if above else value >= least) or value > _MOST:
            why = f"{name} is a number {'above' if above else 'from'} {least} to {_MOST:,}"
            raise Invalid("STEP-008", f"{name}={value!r}", why=why)
    if not isinstance(nodes, int) or isinstance(nodes, bool) or not 1 <= nodes <= _MOST_NODES:
        raise Invalid("STEP-008", f"nodes={nodes!r}", why=f"nodes is a whole number from 1 to {_MOST_NODES:,}")
    resources = Resources(
        cpus=float(cpus),
        memory_bytes=None if memory is None else parse_size(memory),
        gpus=float(gpus),
        pool=pool,
        sensitive=bool(sensitive),
        nodes=nodes,
        gpu_types=_read_types(gpu_type, gpus),
    )
    timeout_s = None if timeout is None else parse_duration(timeout)
    return Options(
        cache=bool(cache),
        sensitive=bool(sensitive),
        resources=resources,
        retries=int(retries),
        backoff_s=0.0 if backoff == 0 and not isinstance(backoff, bool) else parse_duration(backoff),
        timeout_s=timeout_s,
        env=env,
    )


def _read_types(asked: str | Sequence[str] | None, gpus: float) -> tuple[str, ...]:
    """Return the types of device that will do: one, or several as a sequence or with commas between them."""
    if not asked:
        return ()
    words = asked.split(",") if isinstance(asked, str) else list(asked)
    types = tuple(dict.fromkeys(word.strip() for word in words if isinstance(word, str)))
    readable = len(types) <= _MOST_TYPES and all(any(map(str.isalnum, each)) for each in types)
    if not readable or not types or any(len(each) > _LONGEST_TYPE for each in types):
        why = f"gpu_type is a name such as A100, or up to {_MOST_TYPES} of them"
        raise Invalid("STEP-008", f"gpu_type={asked!r:.200}", why=why)
    if not gpus:
        raise Invalid(
            "STEP-008", f"gpu_type={asked!r:.200} without gpus", why="it says of which type the gpus are to be"
        )
    return types
