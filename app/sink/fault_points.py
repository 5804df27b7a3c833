"""Places in the sink at which a test can have the process killed, by name: STREAMS_SINK_FAULT_POINT. Else inert.

They are the steps of the import protocol and of staging: each lies between what was done and the record of it, or
between the record and what follows (delivery protocol, rules 8, 10, 13 to 15).
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum


class Point(StrEnum):
    """In the order in which a batch comes by; the last four only when an import was left without an answer."""

    FILE_MADE = "file-made"
    """The batch's file is there, and nobody has recorded it."""
    SLICE_UPLOADED = "slice-uploaded"
    STEP_RECORDED = "step-recorded"
    MANIFEST_WRITTEN = "manifest-written"
    ATTEMPT_RECORDED = "attempt-recorded"
    """Nothing is posted yet."""
    IMPORT_POSTED = "import-posted"
    """Storage has answered with a job, and nobody has recorded it."""
    JOB_RECORDED = "job-recorded"
    JOB_SUCCEEDED = "job-succeeded"
    """Nobody has recorded it."""
    IMPORT_RECORDED = "import-recorded"
    SLICES_COPIED = "slices-copied"
    """To a second file, which nobody has recorded."""
    COPY_RECORDED = "copy-recorded"
    FIRST_DELETED = "first-deleted"
    """The first file is gone; the second's attempt is not recorded."""
    MOVE_RECORDED = "move-recorded"
    """The second file is not posted yet."""


_CHOSEN = os.environ.get("STREAMS_SINK_FAULT_POINT")


def reach(point: Point) -> None:
    """Die here, as in a power cut (SIGKILL), if this is the point that was chosen."""
    if point == _CHOSEN:
        os.kill(os.getpid(), signal.SIGKILL)
