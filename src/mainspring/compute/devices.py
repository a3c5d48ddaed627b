"""Devices of a machine: which there are, and which ones a run is given."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable by which programs are told their devices."""

_SLACK = 1e-9
_NODES = Path("/dev")


def find_devices() -> tuple[str, ...]:
    """Return the devices of NVIDIA that this process may use, as `VISIBLE` names them."""
    told = os.environ.get(VISIBLE)
    if told is not None:
        return tuple(each.strip() for each in told.split(",") if each.strip() not in {"", "-1"})
    # Those that a container was not given have no node in it, and are not counted by the driver's library either.
    return tuple(str(number) for number, _ in enumerate(_NODES.glob("nvidia[0-9]*")))


def choose_devices(devices: Sequence[str], used: Mapping[str, float], gpus: float) -> tuple[str, ...]:
    """Choose the devices of a run.

    Parameters
    ----------
    devices : sequence of str
        Those of the machine.
    used : mapping of str to float
        Device -> how much of it is given away, from 0 to 1.
    gpus : float
        What the run asks for; below 1 it shares one device with others.

    Returns
    -------
    tuple of str
        So many as `gpus` counts, rounded up; the least used ones where fewer are free.

    Examples
    --------
    >>> choose_devices(["0", "1", "2"], {"0": 1.0}, 2)
    ('1', '2')
    >>> choose_devices(["0", "1"], {"1": 0.5}, 0.5), choose_devices(["0", "1"], {"1": 0.5}, 0.6)
    (('1',), ('0',))
    """
    count = min(math.ceil(gpus - _SLACK), len(devices))
    shared = [each for each in devices if 0 < used.get(each, 0.0) <= 1 - gpus + _SLACK]
    if gpus < 1 and shared:
        return (max(shared, key=lambda each: used[each]),)[:count]
    chosen = set(sorted(devices, key=lambda each: used.get(each, 0.0))[:count])
    return tuple(each for each in devices if each in chosen)
