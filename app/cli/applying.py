"""Carry out a plan against the API, step by step; the first that fails ends it, and the same `apply` goes on there."""

from __future__ import annotations

from typing import Any

from app.api.drafts import ExportDraft, ReceiverDraft
from app.cli.bodies import body_of, read_export, read_receiver
from app.cli.buffer import ApiRefused, BufferApi, export_path, receiver_path
from app.cli.plan import Action, Plan, Step, plan_exports, plan_receiver
from app.model.errors import StreamsError


def find_receiver(api: BufferApi, receiver_id: str) -> ReceiverDraft | None:
    """The receiver in the API; None when it has none with this id.

    Raises StreamsError for one whose secret is lost: to change it would not bring it to life again.
    """
    try:
        answer = api.call("GET", receiver_path(receiver_id))
        if "problem" in answer:
            again = f"Give the gateway the key, or `streams receivers delete {receiver_id}` and apply again."
            raise StreamsError(f'Receiver "{receiver_id}" takes no events: {answer["problem"]} {again}')
        return read_receiver(answer)[0]
    except ApiRefused as refusal:
        if refusal.name != "buffer.receiverNotFound":
            raise
        return None


def plan_for_receivers(api: BufferApi, wanted: list[ReceiverDraft], prune: bool) -> Plan:
    """What is to be done for these receivers; others are left alone without a word."""
    plan = Plan()
    for receiver in wanted:
        plan += plan_receiver(receiver, find_receiver(api, receiver.receiver_id), prune)
    return plan


def plan_for_exports(api: BufferApi, receiver_id: str, wanted: list[ExportDraft], prune: bool) -> Plan:
    """What is to be done for these exports. Raises ApiRefused for an unknown receiver."""
    shown = api.call("GET", f"{receiver_path(receiver_id)}/exports")["exports"]
    return plan_exports(receiver_id, wanted, [read_export(export)[0] for export in shown], prune)


def carry_out(api: BufferApi, step: Step) -> dict[str, Any]:
    """The API's answer to a step: a task when it has begun one (see `is_task`), which is the caller's to wait for."""
    if step.action is Action.DELETE:
        assert step.export_id is not None, "a plan never deletes a receiver"
        return api.call("DELETE", export_path(step.receiver_id, step.export_id))
    assert step.draft is not None
    method = "POST" if step.action is Action.CREATE else "PATCH"
    return api.call(method, _path(step), body_of(step.draft))


def is_task(answer: dict[str, Any]) -> bool:
    return "isFinished" in answer


def _path(step: Step) -> str:
    if step.export_id is None:
        return "/v1/receivers" if step.action is Action.CREATE else receiver_path(step.receiver_id)
    if step.action is Action.CREATE:
        return f"{receiver_path(step.receiver_id)}/exports"
    return export_path(step.receiver_id, step.export_id)
