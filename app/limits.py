"""The system's limit of open files: raised as far as it may be, and how many connections it leaves room for."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress

_RESERVED_FILES = 64
"""For Kafka, Storage, logs and what the runtime opens, beside the connections of senders."""
_SMALL = 1024
_log = logging.getLogger(__name__)


def raise_file_limit() -> int:
    """Raise the process's limit to what it may have; the limit then. Says what to do where that is little."""
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != hard:
        with suppress(ValueError, OSError):  # macOS says "no limit" and refuses it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            limit = hard
    if limit != resource.RLIM_INFINITY and limit < _SMALL:
        _log.warning(
            "this process may open %d files at once, which is little: raise it (`ulimit -n 65536`, LimitNOFILE=)", limit
        )
    return limit


def connections_within(file_limit: int) -> int:
    """How many connections of senders a process with this limit takes, so that it can still reach Kafka."""
    if file_limit == resource.RLIM_INFINITY:
        return 1_000_000
    return max(1, file_limit - _RESERVED_FILES)
