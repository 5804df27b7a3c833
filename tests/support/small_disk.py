"""A disk that can be filled: a tmpfs of its own where we may mount one, else a limit of file sizes on the process.

Both make the process's writes fail as a full disk does (ENOSPC, or EFBIG) and can be undone while it runs.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SmallDisk:
    """`path` is a folder on it. `fill` leaves no room for the process; `free` makes room again."""

    def __init__(self, path: Path, mounted: bool) -> None:
        self.path, self.mounted = path, mounted
        self._ballast = path / "ballast"

    def fill(self, pid: int, left_bytes: int) -> None:
        """Leave so many bytes: on the disk, or of the largest file's growth."""
        if self.mounted:
            status = os.statvfs(self.path)
            with self._ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(1, status.f_bavail * status.f_frsize - left_bytes))
            return
        largest = max((f.stat().st_size for f in self.path.rglob("*") if f.is_file()), default=0)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest + left_bytes, resource.RLIM_INFINITY))

    def free(self, pid: int | None) -> None:
        """`pid` None: the process has ended."""
        self._ballast.unlink(missing_ok=True)
        if not self.mounted and pid is not None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextmanager
def small_disk(path: Path, size_mib: int) -> Iterator[SmallDisk]:
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(path)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield SmallDisk(path, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(path)], check=True)
