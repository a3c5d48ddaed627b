"""Speaks to one machine by OpenSSH: a program goes there with what is to be done, for all attempts at once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainspring.compute import keeper
from mainspring.compute.engine import Node, Spec
from mainspring.compute.exchanges import ExchangeLink, Failure
from mainspring.compute.scheduling.fitting import find_misfit
from mainspring.domain.errors import Unavailable
from mainspring.domain.home import Home

if TYPE_CHECKING:
    from mainspring.compute.adapters.ssh import Address

SILENCE_S = 60.0
"""An exchange takes no longer."""

_LONGEST_SOCKET = 85
_NO_COMMAND = (126, 127)


class SshLink(ExchangeLink):
    """Has one machine keep attempts.

    Parameters
    ----------
    address : Address
        Of the machine.
    home : Home
        Whose runs it executes.
    """

    def __init__(self, address: Address, home: Home) -> None:
        super().__init__(f"ssh {address.host}", home, address.reach)
        self._address = address
        self._node: Node | None = None
        whose = f"{socket.gethostname()} {home.root}"
        self._folder = f"{address.folder.rstrip('/')}/{hashlib.sha256(whose.encode()).hexdigest()[:16]}"
        self._process: subprocess.Popen[bytes] | None = None

    def list_nodes(self) -> list[Node]:
        """Return the machine, as it was told last.

        Raises
        ------
        Unavailable
            WORK-013 when it does not answer, or cannot execute anything.
        """
        if self.problem:
            raise Unavailable("WORK-013", self.problem)
        return [self._node] if self._node is not None else []

    def find_refusal(self, spec: Spec) -> str:
        """Tell why the machine can never execute an attempt."""
        misfit = find_misfit([self._node], "step", spec.resources) if self._node is not None else ""
        return misfit or self._reach.find_refusal(spec)

    def close(self) -> None:
        """End the thread; what waits to be begun is begun by the next owner."""
        self._closing = True
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()
        super().close()

    def take_machines(self, facts: Any) -> None:
        """Note what the machine has."""
        if not facts["mainspring"]:
            raise Failure(f"{self._address.host}: {facts['python']} cannot import mainspring; install it there")
        types = facts["gpus"]
        self._node = Node(
            self._address.host,
            float(facts["cpus"]),
            int(facts["memory_bytes"]),
            float(len(types)),
            gpu_type=types[0] if types else "",
            devices=tuple(map(str, range(len(types)))),
        )

    def exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send the program of the other side with a request; return what it tells."""
        program = Path(keeper.__file__).read_text()
        asked = json.dumps(request | {"folder": self._folder})
        program += f"\n\nsys.stdout.write(json.dumps(exchange(json.loads({asked!r}))))\n"
        command = make_command(self._address, self._home.runtime)
        # A file, for the connection that stays may hold it open: a pipe would have no end.
        with tempfile.TemporaryFile() as said:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, start_new_session=True
            )
            try:
                answer, _ = self._process.communicate(program.encode(), SILENCE_S)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.communicate()
                raise Failure(f"{self._address.host} was silent for {SILENCE_S:.0f} s") from None
            said.seek(0)
            errors = said.read(1 << 16).decode(errors="replace")
        if self._process.returncode != 0:
            raise Failure(self._explain(self._process.returncode, errors))
        told: dict[str, Any] = json.loads(answer)
        return told

    def _explain(self, code: int, errors: str) -> str:
        last = errors.strip().splitlines()[-1][:300] if errors.strip() else f"exit code {code}"
        if code in _NO_COMMAND:
            return f"{self._address.host} has no {self._address.python}: {last}"
        return f"{self._address.host} cannot be used: {last}"


def make_command(address: Address, runtime: Path) -> list[str]:
    """Return the words that log in and start the interpreter; what it executes comes through its input.

    Notes
    -----
    Guarantees: the key of the machine must be known, nobody is asked for anything, and no word of the address can
    be read as an option. The far shell is given one quoted command.

    Examples
    --------
    >>> from mainspring.compute.adapters.ssh import read_address
    >>> address = read_address("ssh://anna@box/?python=/opt/a%20b/python&home=/data")
    >>> make_command(address, Path("/run"))[-3:]
    ['--', 'box', "exec '/opt/a b/python' -P -"]
    """
    named = f"{address.user}@{address.host}:{address.port} {address.config}"
    socket_path = str(runtime / f"s-{hashlib.sha256(named.encode()).hexdigest()[:12]}")
    # OpenSSH adds to the path while it makes the socket; where that does not fit, each exchange logs in.
    shared = f'"{socket_path.replace("%", "%%")}"' if len(socket_path) <= _LONGEST_SOCKET else "none"
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=10", "ServerAliveInterval=5"]
    options += ["ServerAliveCountMax=4", "ControlMaster=auto", "ControlPersist=60", f"ControlPath={shared}"]
    options += ["ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes", "PermitLocalCommand=no"]
    words = ["ssh", "-T"]
    words += ["-F", address.config] if address.config else []
    for option in options:
        words += ["-o", option]
    words += ["-p", str(address.port)] if address.port else []
    words += ["-l", address.user] if address.user else []
    return [*words, "--", address.host, f"exec {shlex.quote(address.python)} -P -"]
