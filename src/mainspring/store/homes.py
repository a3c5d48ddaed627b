"""Where a home's parts lie on this machine: network file systems and long socket paths."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

from mainspring.domain.errors import Denied, Unavailable
from mainspring.domain.home import Home
from mainspring.store.choices import choose_blob_store
from mainspring.store.files import write_faults
from mainspring.store.places import choose_record

# Locks, shared memory or fsync of these do not hold what SQLite needs of them.
_NETWORK = frozenset(
    "9p afs beegfs ceph cifs fuse.ceph fuse.glusterfs fuse.s3fs fuse.sshfs glusterfs gpfs lustre ncpfs nfs nfs4"  # noqa: SIM905
    " orangefs pvfs2 smb2 smb3 smbfs virtiofs".split()
)
_SOCKET_PATH_BYTES = 100
_MOUNTS = Path("/proc/self/mounts")
_ESCAPE = re.compile(r"\\([0-7]{3})")
"""How the kernel writes blanks and backslashes of a path there."""


def place_home(root: Path, *, mounts: str | None = None, local: Path = Path("/var/tmp")) -> Home:  # noqa: S108
    """Decide where the metadata and the socket of a home lie; nothing is made.

    Parameters
    ----------
    root : Path
        The home's folder; it need not exist.
    mounts : str, optional
        Mounted file systems in the form of ``/proc/self/mounts``; None reads that file.
    local : Path, default /var/tmp
        Folder of this node's own disk that survives a restart, for the metadata of a network home.

    Returns
    -------
    Home
        `state` differs from `root` when that lies on a network file system; `runtime` differs
        when the socket's path would exceed 100 bytes or lie on the network; `record` is what the
        home keeps, else what ``MAINSPRING_RECORD`` says.

    Raises
    ------
    MainspringError
        HOME-018, HOME-035 or HOME-036, as `mainspring.store.places.choose_record` says; BLOB-001 or
        BLOB-003, as `mainspring.store.choices.choose_blob_store` says.

    Notes
    -----
    Guarantees: every process of one user on one machine gets the same answer for the same root.
    """
    root = Path(os.path.abspath(root.expanduser()))  # noqa: PTH100 - links stay: the user named the path
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    own = f"mainspring-{os.getuid()}"
    state = local / own / name if is_network(root, mounts) else root
    runtime = state
    if len(os.fsencode(Home(root, state, runtime).socket)) > _SOCKET_PATH_BYTES:
        runtime = Path("/tmp") / own / name  # noqa: S108 - made 0700 and checked before use
    return Home(root, state, runtime, choose_record(root, state), choose_blob_store(root))


def is_network(path: Path, mounts: str | None = None) -> bool:
    """Tell whether a path lies on a network file system.

    Parameters
    ----------
    path : Path
        Absolute; it need not exist.
    mounts : str, optional
        As for `place_home`.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text("utf-8", "surrogateescape")
        except OSError:
            return False
    place = path.resolve()
    longest, kind = -1, ""
    for line in mounts.splitlines():
        _, point, system, *_ = line.split(" ")
        mount = Path(_ESCAPE.sub(lambda code: chr(int(code[1], 8)), point))
        if place.is_relative_to(mount) and len(mount.parts) >= longest:
            longest, kind = len(mount.parts), system
    return kind in _NETWORK


def make_folders(home: Home) -> None:
    """Make the folders that an owner needs before anything else.

    Raises
    ------
    Denied
        HOME-008 when one of them belongs to another user.
    Unavailable
        HOME-006 or HOME-007 when they cannot be made.
    """
    with write_faults(home.root):
        make_private(home.root)
        for folder in (home.state, home.runtime):
            if folder != home.root:
                make_private(folder.parent)  # in a folder that everybody may write
                make_private(folder)
        make_private(home.logs)


def make_private(folder: Path) -> None:
    """Make a folder with mode 0700 and its missing parents, or check that one that is there is ours.

    Raises
    ------
    Denied
        HOME-008 when the folder is a link or belongs to another user.
    Unavailable
        HOME-007 where no folder can be made, as below ``/proc``.
    """
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    except FileNotFoundError as fault:
        raise Unavailable("HOME-007", f"{folder}: {fault.strerror}", path=str(folder)) from None
    except FileExistsError:
        facts = folder.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
            raise Denied("HOME-008", f"{folder} is not a folder of this user", path=str(folder)) from None
