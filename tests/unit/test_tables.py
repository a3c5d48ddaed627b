"""Who holds a table, and who does not any more."""

import os
from pathlib import Path

import pytest

from mainspring.data.places import Place
from mainspring.data.tables import hold_table
from mainspring.errors import Conflict


def test_a_process_forked_meanwhile_keeps_no_table(tmp_path):
    place = Place("sales", tmp_path)
    with hold_table(place):
        lock = next(each for each in Path("/proc/self/fd").iterdir() if os.path.realpath(each).endswith("_writer.lock"))
        inherited = os.dup(int(lock.name))  # what a fork would have: the same open file
        with pytest.raises(Conflict, match="DATA-013"), hold_table(place, wait_s=0):
            pass
    try:
        with hold_table(place, wait_s=0):
            pass
    finally:
        os.close(inherited)
