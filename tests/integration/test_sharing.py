"""The example of ten people at eight devices, as the guide shows it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_ten_people_share_eight_devices(tmp_path):
    script = ROOT / "examples/sharing/sharing.py"
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, script], check=False, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "preempted for step train" in done.stdout
    assert "anna       8" in done.stdout  # and the script itself has counted each epoch once
