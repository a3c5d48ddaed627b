"""What a machine tells of itself becomes readings, from recorded files and a recorded driver."""

import ctypes
import os
import time

import pytest

from mainspring.sdk.readings import LONG_S, Readings
from mainspring.tracking.adapters.nvml import NvmlGpus, open_gpus
from mainspring.tracking.meters import Meter

STAT = "cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3 4\n"
MEMORY = "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    4000 kB\n"
NETWORK = (
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier\n"
    "    lo: 9999 1 0 0 0 0 0 0 9999 1 0 0 0 0 0 0\n"
    "  eth0: {received} 1 0 0 0 0 0 0 {sent} 1 0 0 0 0 0 0\n"
)


@pytest.fixture
def record(tmp_path):
    def write(*, busy=0, idle=0, received=0, sent=0, read=0, written=0):
        for name, text in {
            "stat": STAT.format(busy=busy, idle=idle),
            "meminfo": MEMORY,
            "net/dev": NETWORK.format(received=received, sent=sent),
            "self/statm": "500 25 10 1 0 100 0\n",
            "self/io": f"rchar: 1\nread_bytes: {read}\nwrite_bytes: {written}\n",
        }.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


def test_rates_are_since_the_reading_before(record):
    meter = Meter(proc=record())
    first = meter.read(100.0)
    assert first == {"memory_bytes": 25 * os.sysconf("SC_PAGE_SIZE"), "machine_memory_percent": 75.0}
    record(busy=300, idle=100, received=5_000, sent=1_000, read=20_000, written=40_000)
    second = meter.read(110.0)
    assert second.pop("cpu_cores") >= 0
    assert second == first | {
        "machine_cpu_percent": 75.0,
        "network_received_bytes_s": 500.0,
        "network_sent_bytes_s": 100.0,
        "disk_read_bytes_s": 2_000.0,
        "disk_written_bytes_s": 4_000.0,
    }


def test_what_is_hidden_is_left_out(tmp_path):
    meter = Meter(proc=tmp_path)
    assert meter.read(1.0) == {}
    assert set(meter.read(2.0)) == {"cpu_cores"}


def test_this_machine_is_read():
    meter = Meter()
    meter.read(time.monotonic())
    sum(range(1_000_000))
    found = meter.read(time.monotonic())
    assert found["memory_bytes"] > 1e6
    assert 0 <= found["machine_memory_percent"] <= 100


class RecordedDriver:
    """Answers as the library of a machine with two GPUs, the second of which tells no power."""

    rows = ((87, 21_474_836_480, 412_500), (3, 1_073_741_824, None))

    def __init__(self, fault=0):
        self._fault = fault

    def nvmlInit_v2(self):  # noqa: N802 - the library's names
        return self._fault

    def nvmlDeviceGetCount_v2(self, count):  # noqa: N802
        count._obj.value = len(self.rows)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, number, handle):  # noqa: N802
        handle._obj.value = number.value + 1
        return 0

    def nvmlDeviceGetUtilizationRates(self, handle, use):  # noqa: N802
        use._obj.gpu = self.rows[handle.value - 1][0]
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle, memory):  # noqa: N802
        memory._obj.used = self.rows[handle.value - 1][1]
        return 0

    def nvmlDeviceGetPowerUsage(self, handle, milliwatts):  # noqa: N802
        told = self.rows[handle.value - 1][2]
        if told is None:
            return 3  # not supported
        milliwatts._obj.value = told
        return 0


def test_gpus_are_read_through_the_driver(record):
    found = {
        "gpu0_percent": 87.0,
        "gpu0_memory_bytes": 21_474_836_480.0,
        "gpu0_watts": 412.5,
        "gpu1_percent": 3.0,
        "gpu1_memory_bytes": 1_073_741_824.0,
    }
    gpus = NvmlGpus(RecordedDriver())
    assert gpus.read() == found
    assert Meter(gpus, record()).read(1.0).items() >= found.items()
    with pytest.raises(OSError, match="does not start"):
        NvmlGpus(RecordedDriver(fault=9))


def test_a_machine_without_a_driver(monkeypatch):
    def fail(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", fail)
    assert open_gpus() is None


def test_only_long_runs_are_measured_and_it_can_be_switched_off(record, monkeypatch):
    readings = Readings(Meter(proc=record()))
    assert readings.take(LONG_S - 0.1, {"a": 0.0}) == {}
    found = readings.take(LONG_S + 1, {"a": 0.0, "b": 3.0})
    assert set(found) == {"a"}
    assert {(point.key, point.step) for point in found["a"]} == {
        ("system/memory_bytes", 6),
        ("system/machine_memory_percent", 6),
    }
    assert readings.take(LONG_S + 2, {"a": 0.0}) == {}
    assert set(readings.take(LONG_S + 11, {"a": 0.0, "b": 3.0})) == {"a", "b"}
    monkeypatch.setenv("MAINSPRING_SYSTEM_METRICS_S", "0")
    assert readings.take(1_000.0, {"a": 0.0}) == {}


def test_a_reading_costs_a_small_part_of_a_core():
    meter = Meter(open_gpus())
    meter.read(time.monotonic())
    began = time.thread_time()
    for _ in range(50):
        meter.read(time.monotonic())
    assert (time.thread_time() - began) / 50 / 10.0 < 0.005
