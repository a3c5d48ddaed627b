"""Options of steps and pipelines: how and where they run."""

from __future__ import annotations

import msgspec

from mainspring.domain.backoff import FIRST_S
from mainspring.domain.errors import Invalid
from mainspring.domain.records import Resources
from mainspring.domain.units import parse_duration, parse_size
from mainspring.sdk.environments import Env, check_env, find_env

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
        elsewhere = asks.cpus > 1 or asks.memory_bytes is not None or asks.gpus or asks.pool
        return bool(elsewhere or self.timeout_s is not None or find_env(self.env) is not None)


def make_options(
    *,
    cache: bool = True,
    sensitive: bool = False,
    cpus: float = 1,
    memory: str | int | None = None,
    gpus: float = 0,
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
    resources = Resources(
        cpus=float(cpus),
        memory_bytes=None if memory is None else parse_size(memory),
        gpus=float(gpus),
        pool=pool,
        sensitive=bool(sensitive),
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
