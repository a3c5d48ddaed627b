"""A real server of OpenSSH on loopback, with keys of its own."""

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

from mainspring.compute.adapters.ssh import SshEngine

PROGRAM = Path("/usr/sbin/sshd")
VARIABLE = "MAINSPRING_TEST_SSH"


def is_installed():
    return PROGRAM.exists() and shutil.which("ssh") is not None


def open_engine(url, home):
    """Return an engine on the server that the test has started."""
    del url
    return SshEngine(os.environ[VARIABLE], home)


class SshServer:
    """One that lets in whoever runs the tests, by a key; `folder` holds keys, configuration and what it says."""

    def __init__(self, folder, root):
        folder.mkdir(parents=True)
        self.folder = folder
        self.process = None
        for name in ("host", "user"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(words, check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "authorized").write_text((folder / "user.pub").read_text())
        (folder / "authorized").chmod(0o600)
        self.know((folder / "host.pub").read_text())
        (folder / "config").write_text(
            f"Host *\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {folder}/known\n  GlobalKnownHostsFile /dev/null\n"
        )
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nMaxSessions 50\n"
        )
        self.python = folder / "python"
        path = os.pathsep.join([str(root / "src"), str(root), os.environ.get("PYTHONPATH", "")])
        lines = ["#!/bin/sh", f"export PYTHONPATH={shlex.quote(path)}", f'exec {shlex.quote(sys.executable)} "$@"']
        self.python.write_text("\n".join(lines) + "\n")
        self.python.chmod(0o755)
        self.start()

    def know(self, key):
        """Have clients know the server by a key."""
        (self.folder / "known").write_text(f"[127.0.0.1]:{self.port} {key}")

    def start(self):
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        log = (self.folder / "log").open("ab")
        words = [str(PROGRAM), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        with log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with socket.socket() as link:
                if link.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text())

    def end(self):
        """End the server and the connections that it has."""
        below = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.process.kill()
        self.process.wait()
        for pid in below:
            subprocess.run(["kill", "-9", pid], check=False, capture_output=True)

    def url(self, **options):
        """Return the URL of an engine there; an option of None is left out."""
        given = {
            "python": str(self.python),
            "folder": str(self.folder / "attempts"),
            "config": str(self.folder / "config"),
        }
        given = {name: text for name, text in (given | options).items() if text is not None}
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}/?{urlencode(given)}"
