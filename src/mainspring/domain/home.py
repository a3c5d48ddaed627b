"""Where everything of a home lies; paths only, nothing is touched."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mainspring.domain.principals import DEFAULT_PROJECT


class Home(msgspec.Struct, frozen=True):
    """The folder of one record and all that belongs to it.

    Attributes
    ----------
    root : Path
        Absolute; ``MAINSPRING_HOME``.
    state : Path
        Absolute folder of the metadata: `root`, or a node-local one when `root` is on a
        network file system.
    runtime : Path
        Absolute folder of the socket: `root`, or a short private one when a socket there
        would have a path of more than 100 bytes.
    record : str
        Address of the PostgreSQL database of the metadata, without its password; empty: the
        SQLite file of the home.
    blob_store : str
        URL of the object store that holds blobs and tables, ``s3://bucket/prefix``; empty: the
        folders `blobs` and `tables`.
    """

    root: Path
    state: Path
    runtime: Path
    record: str = ""
    blob_store: str = ""

    @property
    def choices(self) -> Path:
        """What was chosen for the home when it was first used, mode 0600."""
        return self.root / "home.json"

    @property
    def metadata(self) -> Path:
        """The SQLite file."""
        return self.state / "record.db"

    @property
    def place(self) -> str:
        """Where the metadata are, as people are told."""
        return self.record or str(self.metadata)

    @property
    def backups(self) -> Path:
        """Copies of the record, made before it is migrated."""
        return self.root / "backups"

    @property
    def lock(self) -> Path:
        """Held by the owner while it lives."""
        return self.state / "owner.lock"

    @property
    def socket(self) -> Path:
        """The Unix socket of the owner, mode 0600."""
        return self.runtime / "owner.sock"

    @property
    def blobs(self) -> Path:
        """Content-addressed bytes, unless an object store holds them."""
        return self.root / "blobs"

    @property
    def cache(self) -> Path:
        """Copies of what an object store holds; it may be removed at any time."""
        return self.root / "cache"

    @property
    def tables(self) -> Path:
        """Delta tables, one folder for each dataset; with an object store only their locks."""
        return self.root / "tables"

    @property
    def services(self) -> Path:
        """One folder for each service: its desired state, its status, its captures."""
        return self.root / "services"

    def service_folder(self, project: str, name: str) -> Path:
        """Return the folder of a service; names of projects and services hold no ``@``."""
        return self.services / name_folder(project, name)

    @property
    def journals(self) -> Path:
        """Journals that runs append to and the owner sweeps."""
        return self.root / "journals"

    @property
    def logs(self) -> Path:
        """Text that processes print."""
        return self.root / "logs"

    @property
    def snapshots(self) -> Path:
        """Code of snapshots, laid out for import."""
        return self.root / "snapshots"

    @property
    def environments(self) -> Path:
        """Environments of steps, built on this node; each may be removed when nothing uses it."""
        return self.state / "environments"

    @property
    def project_key(self) -> Path:
        """The key that seals pickled values, mode 0600."""
        return self.root / "keys" / "project.key"

    @property
    def audit_head(self) -> Path:
        """Where the audit ends, written after each act: a record that was cut shorter is told by it."""
        return self.root / "keys" / "audit.head"

    @property
    def envelope_keys(self) -> Path:
        """Folder of the keys that wrap envelopes, ``0001.key`` and on, mode 0600."""
        return self.root / "keys" / "envelopes"

    @property
    def token(self) -> Path:
        """The home's token for loopback HTTP, mode 0600."""
        return self.root / "keys" / "token"


def name_folder(project: str, name: str) -> str:
    """Return what the folder of a named thing of a project is called.

    Examples
    --------
    >>> name_folder("default", "orders"), name_folder("rail", "orders")
    ('orders', 'orders@rail')
    """
    return name if project == DEFAULT_PROJECT else f"{name}@{project}"
