"""A thread that speaks to one machine by OpenSSH: one exchange after the other, all attempts in each."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.compute import forks
from mainspring.compute.adapters import sshside
from mainspring.compute.attempts import VARIABLE, write_attempt
from mainspring.compute.engine import Handle, Node, Spec, Status
from mainspring.domain.home import Home

if TYPE_CHECKING:
    from mainspring.compute.adapters.ssh import Address

EVERY_S = 0.5
"""Between two exchanges while there are attempts."""

AGAIN_S = 3.0
"""Before a machine is asked again that did not answer."""

MACHINE_EVERY_S = 30.0
"""How often it is asked what it has."""

SILENCE_S = 60.0
"""An exchange takes no longer."""

_LONGEST_SOCKET = 85
_SIGNALLED = 128
_NO_COMMAND = (126, 127)


class SshLink:
    """Holds what is to be said, and what was told last.

    Parameters
    ----------
    address : Address
        Of the machine.
    home : Home
        Whose runs it executes; text of attempts is copied to it.

    Attributes
    ----------
    problem : str
        Why the last exchange failed; empty: it did not.
    node : Node or None
        The machine; None while nobody has told.
    searched : bool
        It has told once of all attempts that it holds.
    """

    def __init__(self, address: Address, home: Home) -> None:
        self.problem = ""
        self.node: Node | None = None
        self.searched = False
        self._address = address
        self._home = home
        whose = f"{socket.gethostname()} {home.root}"
        self._folder = f"{address.folder.rstrip('/')}/{hashlib.sha256(whose.encode()).hexdigest()[:16]}"
        self._lock = threading.Lock()
        self._accepted: dict[Handle, float] = {}
        self._statuses: dict[Handle, Status] = {}
        self._begin: dict[Handle, Spec] = {}
        self._end: dict[Handle, tuple[float, int]] = {}
        self._forget: set[Handle] = set()
        self._machine_at = 0.0
        self._more = False
        self._woken = threading.Event()
        self._closing = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._live, name=f"ssh {address.host}", daemon=True)
        self._thread.start()

    # --- called by the engine ------------------------------------------------------------

    def accept(self, spec: Spec) -> None:
        """Have an attempt executed, unless it is held already."""
        handle = Handle(spec.run_id, spec.attempt)
        with self._lock:
            if handle not in self._accepted:
                self._accepted[handle] = time.time()
                self._begin[handle] = spec
                self._statuses[handle] = Status(spec.run_id, spec.attempt, "starting")
        self._woken.set()

    def cancel(self, handles: Sequence[Handle], grace_s: float, number: int) -> None:
        """Have attempts end."""
        with self._lock:
            for handle in handles:
                status = self._statuses.get(handle)
                if status is not None and status.state != "ended":
                    self._end.setdefault(handle, (grace_s, number))
        self._woken.set()

    def status(self, handle: Handle) -> Status | None:
        """Return where an attempt is, None when it is not held."""
        with self._lock:
            return self._statuses.get(handle)

    def list_accepted(self, since: float) -> list[Handle]:
        """Return what is held, of this owner and of earlier ones."""
        with self._lock:
            return [handle for handle, at in self._accepted.items() if at >= since]

    def forget(self, handles: Sequence[Handle]) -> None:
        """Let ended attempts go, here and there."""
        with self._lock:
            for handle in handles:
                if self._accepted.pop(handle, None) is not None:
                    self._statuses.pop(handle, None)
                    self._forget.add(handle)
        self._woken.set()

    def close(self) -> None:
        """End the thread; what waits to be begun is begun by the next owner."""
        self._closing = True
        self._woken.set()
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()
        self._thread.join(2.0)

    # --- the thread ----------------------------------------------------------------------

    def _live(self) -> None:
        while not self._closing:
            self._woken.clear()
            request = self._prepare()
            try:
                self._take(request, self._exchange(request))
                self.problem = ""
            except Failure as fault:
                self.problem = str(fault)
            except (OSError, ValueError, KeyError, msgspec.MsgspecError) as fault:
                self.problem = f"{self._address.host} answers what cannot be read: {fault}"
            self._rest()

    def _rest(self) -> None:
        if self.problem:
            # Not woken by what is to be said: a machine that is down is not asked more often for it.
            until = time.monotonic() + AGAIN_S
            while not self._closing and time.monotonic() < until:
                time.sleep(0.1)
            return
        if self._more:
            return
        with self._lock:
            busy = bool(self._accepted)
        self._woken.wait(EVERY_S if busy else MACHINE_EVERY_S)

    def _prepare(self) -> dict[str, Any]:
        with self._lock:
            begin, end, forget = dict(self._begin), dict(self._end), set(self._forget)
            held = list(self._accepted)
        return {
            "folder": self._folder,
            "begin": [{"name": name_of(each), "variables": self._give(spec)} for each, spec in begin.items()],
            "end": [
                {"name": name_of(each), "grace_s": grace_s, "signal": number} for each, (grace_s, number) in end.items()
            ],
            "forget": [name_of(each) for each in forget],
            "offsets": {name_of(each): self._measure(each) for each in held},
            "machine": self.node is None or time.monotonic() - self._machine_at > MACHINE_EVERY_S,
        }

    def _give(self, spec: Spec) -> dict[str, str]:
        """Return the variables of an attempt's process."""
        variables = {VARIABLE: write_attempt(spec)}
        if self._address.home:
            return variables | {"MAINSPRING_HOME": self._address.home}
        server = {"MAINSPRING_URL": self._address.server, "MAINSPRING_CERTIFICATE": self._address.certificate}
        return variables | server

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send the program of the other side with a request; return what it tells."""
        program = Path(sshside.__file__).read_text()
        asked = json.dumps(request)
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

    def _take(self, request: dict[str, Any], told: dict[str, Any]) -> None:
        """Note what the machine has told in answer to a request."""
        if told["machine"] is not None:
            self._take_machine(told["machine"])
        found = {parse_name(name): facts for name, facts in told["attempts"].items()}
        for handle, facts in found.items():
            self._copy(handle, facts)
        self._more = any(self._measure(handle) < facts["size_bytes"] for handle, facts in found.items())
        with self._lock:
            for each in request["begin"]:
                self._begin.pop(parse_name(each["name"]), None)
            for each in request["end"]:
                self._end.pop(parse_name(each["name"]), None)
            self._forget -= {parse_name(name) for name in request["forget"]}
            for handle, facts in found.items():
                if handle not in self._forget:
                    self._accepted.setdefault(handle, facts["at"])
                    self._statuses[handle] = self._read_status(handle, facts)
            gone = set(self._accepted) - set(found) - set(self._begin)
            for handle in gone & {parse_name(name) for name in request["offsets"]}:
                self._statuses[handle] = Status(
                    handle.run_id, handle.attempt, "ended", cause="lost", detail="its folder there is gone"
                )
        self.searched = True

    def _take_machine(self, facts: dict[str, Any]) -> None:
        if not facts["mainspring"]:
            raise Failure(f"{self._address.host}: {facts['python']} cannot import mainspring; install it there")
        types = facts["gpus"]
        self.node = Node(
            self._address.host,
            float(facts["cpus"]),
            int(facts["memory_bytes"]),
            float(len(types)),
            gpu_type=types[0] if types else "",
            devices=tuple(map(str, range(len(types)))),
        )
        self._machine_at = time.monotonic()

    def _read_status(self, handle: Handle, facts: dict[str, Any]) -> Status:
        size_bytes = self._measure(handle)
        pid, code = int(facts["pid"]), facts["code"]
        if facts["state"] != "ended" or size_bytes < facts["size_bytes"]:
            # One that has ended is told so once all that it printed is here.
            state = "starting" if facts["state"] == "starting" else "running"
            return Status(handle.run_id, handle.attempt, state, pid)  # type: ignore[arg-type]
        if code is None:
            detail = "what watches it on the machine is gone"
            return Status(handle.run_id, handle.attempt, "ended", pid, "lost", detail=detail)
        number = -code if code < 0 else code - _SIGNALLED if code > _SIGNALLED else 0
        how = forks.name_signal(number) if number else f"exit code {code}"
        detail = f"its process ended with {how}"
        return Status(handle.run_id, handle.attempt, "ended", pid, exit_code=code, detail=detail)

    def _copy(self, handle: Handle, facts: dict[str, Any]) -> None:
        """Add to the text of an attempt in this home what was printed since."""
        part = base64.b64decode(facts["text"], validate=True)
        if not part:
            return
        path = forks.log_path(self._home, handle.run_id, handle.attempt)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Where it belongs: an exchange whose answer was lost tells the same once more.
            os.pwrite(file, part, int(facts["offset"]))
        finally:
            os.close(file)

    def _measure(self, handle: Handle) -> int:
        try:
            return forks.log_path(self._home, handle.run_id, handle.attempt).stat().st_size
        except FileNotFoundError:
            return 0


class Failure(Exception):
    """An exchange that failed, in one line."""


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


def name_of(handle: Handle) -> str:
    """Return the name of an attempt's folder."""
    return f"{handle.run_id}-{handle.attempt}"


def parse_name(name: str) -> Handle:
    """Return the attempt of a folder.

    Raises
    ------
    ValueError
        It is none.
    """
    run_id, _, attempt = sshside.check_name(name).partition("-")
    return Handle(run_id, int(attempt))
