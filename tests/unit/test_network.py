"""Tests may speak to this machine only."""

import socket

import pytest


def test_another_machine_cannot_be_reached():
    with socket.socket() as line, pytest.raises((RuntimeError, UserWarning), match=r"192\.0\.2\.1"):
        line.connect(("192.0.2.1", 80))
