"""Which URL names which receiver."""

from __future__ import annotations

import dataclasses
import time

import pytest

from app.gateway.directory import Directory
from app.model.cipher import Cipher
from app.model.receiver import PreviousSecret, Receiver
from app.model.signature import Scheme, Signature, SigningSecret

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


def test_receiver_with_the_secret_of_before_has_its_new_signature(directory: Directory, cipher: Cipher) -> None:
    record = receiver(cipher)
    signature = Signature(Scheme.GITHUB, (SigningSecret("f", cipher.encrypt("a secret of GitHub")),))
    found = []
    for one in (None, signature, None):
        directory.take("receiver:1/flights", dataclasses.replace(record, signature=one))
        endpoint = directory.find(PATH.encode())
        assert endpoint is not None
        found.append(endpoint.verifier is not None)

    assert found == [False, True, False]


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


def test_secret_before_the_rotation_is_taken_until_its_time(directory: Directory, cipher: Cipher) -> None:
    def rotated(until: float) -> Receiver:
        previous = PreviousSecret(cipher.encrypt(SECRET), round(1000 * until))
        return dataclasses.replace(receiver(cipher, "t" * 48), previous=previous)

    found = []
    for until in (time.time() + 3600, time.time() - 1):
        directory.take("receiver:1/flights", rotated(until))
        found.append(
            [directory.find(PATH.replace(SECRET, s).encode()) is not None for s in ("t" * 48, SECRET, "u" * 48)]
        )

    assert found == [[True, True, False], [True, False, False]]


def test_secret_before_the_rotation_that_cannot_be_decrypted_is_only_not_taken(
    directory: Directory, cipher: Cipher
) -> None:
    lost = PreviousSecret(Cipher([Cipher.new_key()]).encrypt("x" * 48), 2**50)
    directory.take("receiver:1/flights", dataclasses.replace(receiver(cipher), previous=lost))

    assert directory.find(PATH.encode()) is not None
    assert directory.find(PATH.replace(SECRET, "x" * 48).encode()) is None


@pytest.mark.parametrize("authorization", ["Bearer " + SECRET, "bearer  " + SECRET + " ", "BEARER " + SECRET])
def test_token_names_the_receiver_of_a_url_without_a_secret(directory: Directory, authorization: str) -> None:
    for url in ("/v1/import/1/flights", "/v1/import/1/fl%69ghts?debug=1"):
        assert directory.find(url.encode()) is None
        assert directory.find_by_token(url.encode(), authorization.encode()) is not None


@pytest.mark.parametrize(
    ("url", "authorization"),
    [
        ("/v1/import/1/flights", "Bearer " + "t" * 48),
        ("/v1/import/1/flights", "Bearer "),
        ("/v1/import/1/flights", "Bearer"),
        ("/v1/import/1/flights", ""),
        ("/v1/import/1/flights", "Basic " + SECRET),
        ("/v1/import/1/flights", "Nearer " + SECRET),
        ("/v1/import/1/flights", SECRET),
        ("/v1/import/1/flights/", "Bearer " + SECRET),
        ("/v1/import/1/trains", "Bearer " + SECRET),
        ("/v1/import/1/flights/" + "t" * 48, "Bearer " + SECRET),
    ],
)
def test_other_tokens_and_urls_name_nothing(directory: Directory, url: str, authorization: str) -> None:
    assert directory.find_by_token(url.encode(), authorization.encode()) is None


@pytest.mark.parametrize("url", [PATH, "/v1/import/1/flights/", "/v1/import/1/flights"])
def test_receiver_with_a_token_alone_takes_no_secret_in_the_url(directory: Directory, cipher: Cipher, url: str) -> None:
    directory.take("receiver:1/flights", dataclasses.replace(receiver(cipher), bearer_only=True))

    assert directory.find(url.encode()) is None
    assert directory.find_by_token(b"/v1/import/1/flights", b"Bearer " + SECRET.encode()) is not None


@pytest.mark.parametrize(
    ("url", "authorization", "bearer_only", "expected"),
    [
        ("/v1/import/1/flights", None, False, (401, "wants its secret")),
        ("/v1/import/1/flights", "Basic x", False, (401, "wants its secret")),
        ("/v1/import/1/flights", "Bearer x", False, (401, "is not the secret")),
        ("/v1/import/1/flights/x", "Bearer x", False, (404, "with given secret not found")),
        (PATH, None, True, (401, "wants its secret")),
        ("/v1/import/1/trains", "Bearer x", False, (404, 'Receiver "trains" not found')),
        ("/v1/import/1/trains", None, False, (404, "No endpoint found")),
        ("/v1/import/1/", "Bearer x", False, (404, "No endpoint found")),
        ("/v1/import/1/flights/x/y", "Bearer x", False, (404, "No endpoint found")),
    ],
)
def test_what_is_missing_is_said(
    directory: Directory,
    cipher: Cipher,
    url: str,
    authorization: str | None,
    bearer_only: bool,
    expected: tuple[int, str],
) -> None:
    directory.take("receiver:1/flights", dataclasses.replace(receiver(cipher), bearer_only=bearer_only))

    refusal = directory.missing(url.encode(), authorization and authorization.encode())

    assert (refusal.status, expected[1] in refusal.message) == (expected[0], True), refusal
    assert bool(refusal.unproven and refusal.challenge) == (refusal.status == 401)


def test_receiver_whose_signatures_cannot_be_checked_takes_nothing(directory: Directory, cipher: Cipher) -> None:
    """Better no event than one that nobody signed."""
    lost = SigningSecret("f", Cipher([Cipher.new_key()]).encrypt("a lost secret"))
    signed = dataclasses.replace(receiver(cipher), signature=Signature(Scheme.GITHUB, (lost,)))

    directory.take("receiver:1/flights", signed)

    assert directory.find(PATH.encode()) is None
    assert directory.missing(PATH.encode()).status == 503


def test_secrets_are_not_shown(directory: Directory, cipher: Cipher) -> None:
    previous = PreviousSecret(cipher.encrypt("p" * 48), 2**42)
    directory.take("receiver:1/flights", dataclasses.replace(receiver(cipher), previous=previous))

    endpoint = directory.find(PATH.encode())

    assert endpoint is not None
    shown = f"{endpoint!r} {endpoint.secrets!r}"
    assert [secret for secret in (SECRET, "p" * 48) if secret in shown] == []


def test_receiver_of_a_topic_of_others_takes_nothing(directory: Directory, cipher: Cipher) -> None:
    directory.take("receiver:1/flights", dataclasses.replace(receiver(cipher), topic="orders"))

    assert directory.find(PATH.encode()) is None
