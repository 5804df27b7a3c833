"""Receivers and exports through HTTP, control and Storage."""

from __future__ import annotations

import re
from typing import Any

from buffer_stack import Client, api_client, export_body

from app.keboola.client import StorageClient
from app.local.storage import Emulator
from app.model.cipher import Cipher
from app.settings import Settings

PROJECT = "1234"


async def test_receiver_with_export_is_there_after_its_task(
    api: Client, emulator: Emulator, name: str, settings: Settings
) -> None:
    answer = await api.post(
        "/v1/receivers", {"name": name, "description": "d", "exports": [export_body("First One", f"in.c-{name}.t")]}
    )

    task = await api.finished(answer)

    started = answer.json()
    assert started["type"] == "receiver.create"
    assert started["status"] == "processing"
    assert re.fullmatch(rf"{name}/receiver\.create/\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z_\w{{5}}", started["id"])
    assert started["url"] == f"{settings.public_address}/v1/tasks/{started['id']}"
    assert "finishedAt" not in started
    assert task["status"] == "success", task.get("error")
    assert task["result"] == "receiver created"
    assert task["outputs"] == {"receiverId": name}
    assert isinstance(task["duration"], int)
    receiver = (await api.get(f"/v1/receivers/{name}")).json()
    assert re.fullmatch(rf"{settings.public_address}/v1/import/{PROJECT}/{name}/[0-9A-Za-z]{{48}}", receiver.pop("url"))
    assert receiver == {
        "id": name,
        "name": name,
        "description": "d",
        "exports": [
            {
                "id": "first-one",
                "receiverId": name,
                "name": "First One",
                "mapping": {
                    "tableId": f"in.c-{name}.t",
                    "incremental": True,
                    "columns": [
                        {"primaryKey": True, "name": "id", "type": "id"},
                        {"primaryKey": False, "name": "body", "type": "body"},
                        {
                            "primaryKey": False,
                            "name": "value",
                            "type": "template",
                            "template": {"language": "jsonnet", "content": 'Body("value")'},
                        },
                    ],
                },
                "conditions": {"count": 1000, "size": "5MB", "time": "5m0s"},
            }
        ],
    }
    with StorageClient(emulator.url, emulator.master_token) as storage:
        table = storage.table_detail(f"in.c-{name}.t")
        assert (list(table.columns), list(table.primary_key)) == (["id", "body", "value"], ["id"])
        assert f"[_internal] Buffer Export first-one for Receiver {name}" in [
            token.description for token in storage.list_tokens()
        ]


async def test_token_of_an_export_may_write_its_bucket_only(
    api: Client, emulator: Emulator, name: str, settings: Settings
) -> None:
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})

    await api.view.caught_up()
    export = api.view.catalog.exports[f"{PROJECT}/{name}/e"]
    text = Cipher(settings.encryption_key).decrypt(export.revision.token)
    with StorageClient(emulator.url, text) as storage:
        info = storage.verify_token()

    assert info.bucket_permissions == {f"in.c-{name}": "write"}
    assert (info.can_read_all_file_uploads, info.is_master, info.can_manage_buckets) == (True, False, False)


async def test_what_a_task_made_is_seen_at_once_through_another_instance(
    api: Client, emulator: Emulator, name: str, settings: Settings
) -> None:
    async with api_client(settings, emulator.master_token) as other:
        await api.create("/v1/receivers", {"name": name})  # from now on control is there
        for number in range(5):
            body = {"name": f"{name}-{number}"}
            sent = await api.post("/v1/receivers", body)
            assert (await other.get(sent.json()["url"])).status_code == 200
            await api.finished(sent)
            assert (await other.get(f"/v1/receivers/{name}-{number}")).status_code == 200


async def test_exports_come_and_go(api: Client, emulator: Emulator, name: str) -> None:
    await api.create("/v1/receivers", {"name": name})
    path = f"/v1/receivers/{name}/exports"
    for one in ("beta", "alpha"):
        task = await api.create(path, export_body(one, f"in.c-{name}.{one}"))
        assert task["outputs"] == {"receiverId": name, "exportId": one}
        assert task["result"] == "export created"

    listed = (await api.get(path)).json()["exports"]
    one = (await api.get(f"{path}/alpha")).json()
    deleted = await api.delete(f"{path}/alpha?discard=true")

    assert [export["id"] for export in listed] == ["alpha", "beta"]
    assert one == listed[0]
    assert (deleted.status_code, deleted.content) == (200, b"")
    assert [export["id"] for export in (await api.get(path)).json()["exports"]] == ["beta"]
    assert (await api.get(f"{path}/alpha")).json()["error"] == "buffer.exportNotFound"
    with StorageClient(emulator.url, emulator.master_token) as storage:
        descriptions = [token.description for token in storage.list_tokens()]
        assert f"[_internal] Buffer Export alpha for Receiver {name}" not in descriptions
        assert f"[_internal] Buffer Export beta for Receiver {name}" in descriptions
        assert storage.table_detail(f"in.c-{name}.alpha")


async def test_deleted_receiver_is_gone_with_its_exports_and_can_be_made_again(
    api: Client, emulator: Emulator, name: str
) -> None:
    body: dict[str, Any] = {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]}
    await api.create("/v1/receivers", body)
    await api.view.caught_up()
    first = api.view.catalog.receivers[f"{PROJECT}/{name}"]

    deleted = await api.delete(f"/v1/receivers/{name}?discard=true")

    assert (deleted.status_code, deleted.content) == (200, b"")
    assert (await api.get(f"/v1/receivers/{name}")).status_code == 404
    assert name not in [receiver["id"] for receiver in (await api.get("/v1/receivers")).json()["receivers"]]
    assert not [export for export in api.view.catalog.exports.values() if export.receiver_id == name]
    with StorageClient(emulator.url, emulator.master_token) as storage:
        assert not [token for token in storage.list_tokens() if token.description.endswith(f"Receiver {name}")]
    await api.create("/v1/receivers", body)
    second = api.view.catalog.receivers[f"{PROJECT}/{name}"]
    assert (second.topic, second.topic_id) == (first.topic, first.topic_id)
    assert second.uid != first.uid
    assert second.secret != first.secret
