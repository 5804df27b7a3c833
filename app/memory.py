"""The garbage collector of processes that live long and hold many events for a moment."""

from __future__ import annotations

import gc


def settle_memory(collect_after_objects: int) -> None:
    """Let the garbage collector leave alone what lives as long as the process, and look at the rest after so many new
    objects. Call it when what lives long is loaded.

    Events in flight make it run often: looking at every module and route each time stops the gateway for a tenth of a
    second, and halves the pace at which the mapper reads records. Not for the sink, which holds many rows: what it had
    let go was collected so late that it took a third more memory.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(collect_after_objects, 10, 10)
