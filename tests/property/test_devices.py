"""Devices of a machine are given out whole to one run, or in parts that fit, as long as the machine has room."""

import math

from hypothesis import given
from hypothesis import strategies as st

from mainspring.compute import devices
from mainspring.compute.devices import choose_devices, find_devices

asks = st.sampled_from([0.25, 0.5, 0.75, 1.0, 2.0, 3.0])


@given(st.integers(1, 6), st.lists(asks, max_size=20))
def test_what_fits_is_given_devices_that_nobody_else_fills(count, wanted):
    names = [str(number) for number in range(count)]
    used = {}
    for gpus in wanted:
        share = min(gpus, 1.0)
        room = [each for each in names if used.get(each, 0.0) + share <= 1 + 1e-9]
        chosen = choose_devices(names, used, gpus)
        assert len(set(chosen)) == len(chosen) == min(math.ceil(gpus), count)
        assert list(chosen) == sorted(chosen)
        if len(room) < math.ceil(gpus):
            continue  # the queue starts nothing that has no room
        assert set(chosen) <= set(room)
        used |= {each: used.get(each, 0.0) + share for each in chosen}


def test_a_run_without_devices_is_given_none():
    assert choose_devices(["0", "1"], {}, 0.0) == ()


def test_the_devices_of_this_process_are_those_that_it_was_told_or_that_are_there(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "_NODES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert find_devices() == ()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert find_devices() == ("0", "1")
    for told, found in (("3,GPU-8f1c", ("3", "GPU-8f1c")), ("", ()), ("-1", ())):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", told)
        assert find_devices() == found
