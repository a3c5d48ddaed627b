"""GPUs by NVIDIA's management library, which comes with the driver."""

from __future__ import annotations

import ctypes
from typing import Any

_LIBRARY = "libnvidia-ml.so.1"


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class NvmlGpus:
    """Reads the GPUs of this machine.

    Parameters
    ----------
    library : object
        The loaded library, or what answers as it does.

    Raises
    ------
    OSError
        It does not work here.

    Notes
    -----
    Cost: some 10 ms to begin, then some 50 us for each GPU and reading. Nothing is installed: the
    driver brings the library.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self._handles: list[ctypes.c_void_p] = []
        if library.nvmlInit_v2() != 0:
            raise OSError("NVML does not start")
        count = ctypes.c_uint()
        if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            raise OSError("NVML does not count GPUs")
        for number in range(count.value):
            handle = ctypes.c_void_p()
            if library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(number), ctypes.byref(handle)) == 0:
                self._handles.append(handle)

    def read(self) -> dict[str, float]:
        """Return what each GPU does now: ``gpu0_percent``, ``gpu0_memory_bytes``, ``gpu0_watts``.

        What a GPU does not tell is left out.
        """
        found: dict[str, float] = {}
        use, memory, milliwatts = _Utilization(), _Memory(), ctypes.c_uint()
        for number, handle in enumerate(self._handles):
            if self._library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(use)) == 0:
                found[f"gpu{number}_percent"] = float(use.gpu)
            if self._library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == 0:
                found[f"gpu{number}_memory_bytes"] = float(memory.used)
            if self._library.nvmlDeviceGetPowerUsage(handle, ctypes.byref(milliwatts)) == 0:
                found[f"gpu{number}_watts"] = milliwatts.value / 1000
        return found


def open_gpus() -> NvmlGpus | None:
    """Return the GPUs of this machine; None where there is no driver."""
    try:
        return NvmlGpus(ctypes.CDLL(_LIBRARY))
    except (OSError, AttributeError):
        return None
