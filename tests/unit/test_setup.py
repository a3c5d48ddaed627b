"""Setting up on a machine without a fit Python says what to install."""

import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).resolve().parents[2] / "tools" / "setup.sh"


@pytest.mark.parametrize(
    "python",
    [
        "exit 127",  # there is none
        'case "$2" in *ensurepip*) exit 1;; esac',  # Debian's, without its venv package
    ],
)
def test_a_missing_venv_module_names_the_package(tmp_path, python):
    fake = tmp_path / "python3"
    fake.write_text(f"#!/bin/sh\n{python}\n")
    fake.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(SETUP)],
        check=False,
        cwd=tmp_path,
        env={"PYTHON": str(fake), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "fix: sudo apt-get install python3-venv" in done.stderr
    assert str(fake) in done.stderr
    assert not (tmp_path / ".venv").exists()
