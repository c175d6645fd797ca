"""Is the directory of the embedded store a safe place for it? Sentences for the operator, each with its remedy."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LOW: Final = 64 * 1024 * 1024
_MOUNTS: Final = Path("/proc/self/mountinfo")

# Where one machine does not see at once what another writes into a mapped file, or locks are not kept.
_REMOTE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "virtiofs"}
)


def warnings(directory: Path) -> tuple[str, ...]:
    """Return what is wrong with the directory; nothing about what cannot be told, or for one that is not there."""
    try:
        return tuple(_warnings(directory))
    except OSError:
        return ()


def _warnings(directory: Path) -> Iterator[str]:
    status = directory.stat()
    if status.st_uid not in {0, os.geteuid()}:
        yield (
            f"{directory} belongs to user {status.st_uid}, who can change every revocation in it, "
            f"and this process runs as user {os.geteuid()}; give a state_dir of its own"
        )
    for path in (directory, *directory.glob("state.db*"), *directory.glob("generation")):
        if stat.S_IMODE(path.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
            yield f"others can write to {path} and so restore a revoked token; run: chmod go-w {path}"
    kind = file_system(status.st_dev)
    if kind in _REMOTE or kind.startswith("fuse"):
        yield (
            f"{directory} is on {kind}, where processes may not see each other's writes at once; "
            "give a state_dir on a local disk, or use Redis for several machines"
        )
    space = os.statvfs(directory)
    free = space.f_bavail * space.f_frsize
    if free < _LOW:
        yield f"{directory} has {free // 1024} KiB left, and without room no revocation can be written; free some"


def file_system(device: int) -> str:
    """Return the type of the file system with this device number, "" where it cannot be told (proc(5))."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in _MOUNTS.read_text(errors="replace").splitlines():
        mount, _, source = line.partition(" - ")
        if mount.split(" ")[2] == wanted:
            return source.split(" ", 1)[0]
    return ""
