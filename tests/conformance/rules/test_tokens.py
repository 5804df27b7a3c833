"""Section 5: one token for each export, with the least scope, which nobody sees who reads Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.reader import read_to_end
from app.keboola.answers import TokenInfo
from app.keboola.client import StorageClient
from app.keboola.errors import StorageTokenInvalid
from app.model.cipher import Cipher
from app.model.receiver import Export
from app.settings import Settings

from .case import Stage, column, export
from .conftest import finished


def _bytes_of(settings: Settings, topic: str, partitions: int) -> Iterator[bytes]:
    for partition in range(partitions):
        for message in read_to_end(settings, topic, partition):
            yield message.value() or b""


def _exports(settings: Settings, receiver_id: str) -> dict[str, Export]:
    """The receiver's exports as the control log has them now, by id."""
    found = {}
    for data in _bytes_of(settings, Names(settings.topic_prefix).control, 1):
        value = control_codec.decode(data) if data else None
        if isinstance(value, Export) and value.receiver_id == receiver_id:
            found[value.export_id] = value
    return found


def _text_of(settings: Settings, receiver_id: str, export_id: str) -> str:
    return Cipher(settings.encryption_key).decrypt(_exports(settings, receiver_id)[export_id].revision.token)


def _info(settings: Settings, text: str) -> TokenInfo:
    with StorageClient(settings.storage_api_host, text) as storage:
        return storage.verify_token()


@contextmanager
def _refused() -> Iterator[None]:
    with pytest.raises(StorageTokenInvalid):
        yield


@pytest.fixture
def receiver(stage: Stage) -> str:
    """The id of a receiver with the exports "e" and "f", which go to two buckets."""
    name = stage.values["name"]
    exports = [export(), export("F", "out.c-<name>-f.t", [column("a", "ip")])]
    body = stage.fill({"name": "<name>", "exports": exports})
    task = finished(stage.client, stage.client.post("/v1/receivers", json=body))
    assert task["status"] == "success", task
    return name


def _refresh(client: httpx.Client, receiver: str) -> None:
    assert client.post(f"/v1/receivers/{receiver}/tokens/refresh").status_code == 200


@pytest.mark.parametrize(("export_id", "bucket"), [("e", "in.c-{}"), ("f", "out.c-{}-f")])
def test_token_may_write_the_bucket_of_its_export_and_nothing_else(
    receiver: str, settings: Settings, export_id: str, bucket: str
) -> None:
    info = _info(settings, _text_of(settings, receiver, export_id))

    assert info.description == f"[_internal] Buffer Export {export_id} for Receiver {receiver}"
    assert info.bucket_permissions == {bucket.format(receiver): "write"}
    assert info.can_read_all_file_uploads
    assert (info.is_master, info.can_manage_buckets, info.can_manage_tokens, info.expires) == (False,) * 3 + (None,)


def test_neither_tokens_nor_secrets_are_in_kafka_as_they_are(receiver: str, stage: Stage, settings: Settings) -> None:
    names = Names(settings.topic_prefix)
    secret = stage.client.get(f"/v1/receivers/{receiver}").json()["url"].rpartition("/")[2]
    hidden = [_text_of(settings, receiver, one) for one in "ef"] + [secret, stage.values["token"]]

    data = [*_bytes_of(settings, names.control, 1), *_bytes_of(settings, names.commands, settings.command_partitions)]

    assert any(receiver.encode() in value for value in data)
    assert [text for text in hidden if any(text.encode() in value for value in data)] == []


def test_refresh_gives_every_export_another_token_under_the_same_id(
    receiver: str, stage: Stage, settings: Settings
) -> None:
    before = _exports(settings, receiver)
    old = [_text_of(settings, receiver, one) for one in "ef"]

    _refresh(stage.client, receiver)

    after = _exports(settings, receiver)
    assert [after[one].revision.token_id for one in "ef"] == [before[one].revision.token_id for one in "ef"]
    for text in old:
        with _refused():
            _info(settings, text)
    assert [list(_info(settings, _text_of(settings, receiver, one)).bucket_permissions) for one in "ef"] == [
        [f"in.c-{receiver}"],
        [f"out.c-{receiver}-f"],
    ]


def test_refresh_makes_a_token_again_that_was_deleted_in_storage(
    receiver: str, stage: Stage, settings: Settings
) -> None:
    before = _exports(settings, receiver)
    stage.storage.delete_token(before["e"].revision.token_id)

    _refresh(stage.client, receiver)

    after = _exports(settings, receiver)
    assert after["e"].revision.token_id != before["e"].revision.token_id
    assert after["f"].revision.token_id == before["f"].revision.token_id
    info = _info(settings, _text_of(settings, receiver, "e"))
    assert info.description == f"[_internal] Buffer Export e for Receiver {receiver}"
    assert info.bucket_permissions == {f"in.c-{receiver}": "write"}


def test_new_mapping_has_a_token_of_its_own(receiver: str, stage: Stage, settings: Settings) -> None:
    before = _exports(settings, receiver)["e"].revision.token_id
    change = {"mapping": {"tableId": f"in.c-{receiver}-2.t", "columns": [column("body")]}}

    task = finished(stage.client, stage.client.patch(f"/v1/receivers/{receiver}/exports/e", json=change))

    assert task["status"] == "success"
    assert _exports(settings, receiver)["e"].revision.token_id != before
    assert _info(settings, _text_of(settings, receiver, "e")).bucket_permissions == {f"in.c-{receiver}-2": "write"}


def test_discarded_receiver_leaves_no_token(receiver: str, stage: Stage) -> None:
    answer = stage.client.delete(f"/v1/receivers/{receiver}", params={"discard": "true"})

    assert answer.status_code == 200
    assert [t for t in stage.storage.list_tokens() if t.description.endswith(f" for Receiver {receiver}")] == []
