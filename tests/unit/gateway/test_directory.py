"""Which URL names which receiver."""

from __future__ import annotations

import dataclasses

import pytest

from app.gateway.directory import Directory
from app.model.cipher import Cipher

from .lane_stage import PATH, SECRET, receiver


@pytest.fixture
def cipher() -> Cipher:
    return Cipher([Cipher.new_key()])


@pytest.fixture
def directory(cipher: Cipher) -> Directory:
    directory = Directory(cipher)
    directory.take("receiver:1/flights", receiver(cipher))
    return directory


@pytest.mark.parametrize("url", [PATH, PATH + "?debug=true", PATH + "?", PATH.replace("flights", "fl%69ghts")])
def test_url_with_the_secret_names_the_receiver(directory: Directory, url: str) -> None:
    endpoint = directory.find(url.encode())

    assert endpoint is not None
    assert endpoint.topic == "streams.events.1.flights"


@pytest.mark.parametrize(
    "url",
    [
        PATH[:-1],
        PATH + "s",
        PATH[:-1] + "é",
        PATH.replace("/1/", "/2/"),
        PATH.replace("flights", "flight"),
        PATH + "/",
        PATH.replace("ss", "%2573s", 1),
        "/v1/import/",
    ],
)
def test_other_urls_name_nothing(directory: Directory, url: str) -> None:
    assert directory.find(url.encode()) is None


def test_receiver_that_ended_is_gone_and_one_made_again_has_its_own_secret(
    directory: Directory, cipher: Cipher
) -> None:
    directory.take("receiver:1/flights", None)
    assert directory.find(PATH.encode()) is None

    again = dataclasses.replace(receiver(cipher, "t" * 48), uid="another")
    directory.take("receiver:1/flights", again)

    assert directory.find(PATH.encode()) is None
    assert directory.find(PATH.replace(SECRET, "t" * 48).encode()) is not None


def test_changed_receiver_is_not_decrypted_again(
    directory: Directory, cipher: Cipher, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = receiver(cipher)
    directory.take("receiver:1/flights", record)
    monkeypatch.setattr(cipher, "decrypt", None)

    directory.take("receiver:1/flights", dataclasses.replace(record, split=False))

    endpoint = directory.find(PATH.encode())
    assert endpoint is not None
    assert not endpoint.split


def test_exports_and_tasks_are_nothing_to_the_directory(directory: Directory) -> None:
    directory.take("export:1/flights/departures", None)
    directory.take("task:1/flights", None)

    assert directory.find(PATH.encode()) is not None


def test_receiver_of_a_lost_key_is_told_apart_until_its_record_is_mended(directory: Directory, cipher: Cipher) -> None:
    directory.take("receiver:1/flights", receiver(Cipher([Cipher.new_key()])))
    assert directory.find(PATH.encode()) is None
    assert directory.missing(PATH.encode()).status == 503

    directory.take("receiver:1/flights", receiver(cipher))

    assert directory.find(PATH.encode()) is not None
    assert directory.missing(PATH[:-1].encode()).status == 404
