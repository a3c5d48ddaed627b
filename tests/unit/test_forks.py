"""Fork servers are told apart by what their workers are to find."""

import os
from pathlib import Path

from mainspring.compute.engine import Spec
from mainspring.compute.forks import socket_path
from mainspring.domain.home import Home


def test_no_two_sets_of_variables_share_a_fork_server():
    place = Path("/tmp/" + "x" * 84)
    home = Home(place, place, place)
    assert len(os.fsencode(home.socket)) == 100, "the longest that a home chooses"
    found = {
        socket_path(home, "local", Spec("r", 1, 1, "t", variables={"N": str(number)}), "/bin/python3", 2)
        for number in range(200_000)
    }
    assert len(found) == 200_000, "with eight hexadecimal characters some five would be shared"
    assert max(len(os.fsencode(each)) for each in found) < 108
