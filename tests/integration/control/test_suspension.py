"""Suspending and resuming by control: what is written down, whoever asks and whichever process dies."""

from __future__ import annotations

from buffer_stack import Client, ControlProcess, Controls, export_body, export_of, tokens_of, until

from app.api.commands import CommandSender
from app.api.drafts import Suspending, dump_draft
from app.keboola.client import StorageClient
from app.model.receiver import Export
from app.model.replay import ReplayKind
from app.model.task import TaskType, new_task
from app.settings import Settings


async def test_suspension_and_resume_survive_the_death_of_their_process(
    api: Client, storage: StorageClient, control: ControlProcess, controls: Controls, name: str
) -> None:
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    path = f"/v1/receivers/{name}/exports/e"

    def suspending() -> bool:
        return bool(export_of(api, name, "e").suspensions)

    def resuming() -> bool:
        suspension = export_of(api, name, "e").suspensions[-1]
        return suspension.lane is not None or suspension.is_over

    sent = await api.post(f"{path}/pause", None)
    await until(suspending, "the first record")
    control.kill()
    other = controls.start()
    paused = await api.finished(sent)
    suspended = export_of(api, name, "e").suspension
    sent = await api.post(f"{path}/resume", None)
    await until(resuming, "the first record")
    other.kill()
    controls.start()
    resumed = await api.finished(sent)

    assert (paused["status"], resumed["status"]) == ("success", "success")
    assert suspended is not None
    assert suspended.first == ()
    assert export_of(api, name, "e").suspension is None
    (replay,) = api.view.catalog.replays_of(export_of(api, name, "e").uid)
    assert (replay.kind, replay.count) == (ReplayKind.RESUME, 0)
    assert len(tokens_of(storage, name)) == 2


async def test_mapper_has_an_export_suspended_by_its_revision(
    api: Client, settings: Settings, control: ControlProcess, name: str
) -> None:
    assert control.alive
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    export = export_of(api, name, "e")

    mended = await suspend(api, settings, export, revision=2)
    untouched = export_of(api, name, "e").suspension
    meant = await suspend(api, settings, export, revision=1)

    shown = (await api.get(f"/v1/receivers/{name}/exports/e")).json()["suspension"]
    assert (mended, untouched, meant) == ("nothing to suspend", None, "export suspended")
    assert (shown["state"], shown["reason"]) == ("suspended", "it loops")


async def suspend(api: Client, settings: Settings, export: Export, revision: int) -> str | None:
    """The result of the mapper's command."""
    task = new_task(export.project_id, TaskType.EXPORT_SUSPEND, export.receiver_id, export.export_id)
    async with CommandSender(settings) as commands:
        await commands.send(task, dump_draft(Suspending(export.uid, revision, "it loops")))
    key = f"{task.project_id}/{task.task_id}"

    def is_finished() -> bool:
        found = api.view.catalog.tasks.get(key)
        return found is not None and found.finished_ms is not None

    await until(is_finished, "the mapper's task")
    return api.view.catalog.tasks[key].result
