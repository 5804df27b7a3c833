"""A new secret for a receiver, with the one before beside it for a while, so that no sender is refused meanwhile."""

from __future__ import annotations

from dataclasses import replace

from app.api.drafts import Rotation, load_draft
from app.api.rules import find_receiver
from app.control.run import Run, now_ms
from app.kafka.codec import ControlValue
from app.model.ids import new_secret
from app.model.receiver import PreviousSecret


async def rotate_secret(run: Run) -> None:
    """At most two secrets are in force: the one before the one before ends, whatever time it had left."""
    rotation = load_draft(Rotation, run.command.payload)
    secret = run.around.cipher.encrypt(new_secret())

    def entities() -> list[ControlValue]:
        receiver = find_receiver(run.catalog, run.task.project_id, run.task.receiver_id)
        previous = None
        if rotation.overlap_seconds:
            previous = PreviousSecret(receiver.secret, now_ms() + round(1000 * rotation.overlap_seconds))
        return [replace(receiver, secret=secret, previous=previous)]

    await run.succeed("secret rotated", entities)
