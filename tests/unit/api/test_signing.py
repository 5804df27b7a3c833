"""Signatures in bodies of requests: what is taken, what is refused, and that no secret goes where it must not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from app.api.answers import show_receiver
from app.api.complaints import first_complaints
from app.api.drafts import ReceiverChange, ReceiverDraft, SignatureChange, dump_draft, load_draft
from app.api.payloads import ReceiverPatch, ReceiverPayload, receiver_change, receiver_draft, unknown_fields
from app.model.cipher import Cipher
from app.model.errors import BadRequest
from app.model.receiver import PreviousSecret, Receiver
from app.model.signature import Algorithm, Encoding, HmacForm, Scheme, Signature, SigningSecret, fingerprint
from app.settings import Settings

SETTINGS = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
CIPHER = Cipher([Cipher.new_key()])
SECRET = "a secret of GitHub"
TOPIC = "streams.events.1.clicks"


def signature(**fields: Any) -> Signature:
    """Of a receiver "clicks" that is made with it."""
    payload = ReceiverPayload.model_validate({"name": "Clicks", "signature": fields})
    assert unknown_fields(payload) == []
    found = receiver_draft(payload, SETTINGS, CIPHER.encrypt).signature
    assert found is not None
    return found


def receiver(**fields: Any) -> Receiver:
    return Receiver("uid", "1", "clicks", "Clicks", "", CIPHER.encrypt("s" * 48), TOPIC, "id", 1, 0, **fields)


def shown(record: Receiver) -> dict[str, Any]:
    return show_receiver(record, [], "http://here", CIPHER.decrypt).model_dump(by_alias=True, exclude_none=True)


def test_secret_is_encrypted_before_it_goes_into_a_command() -> None:
    payload = ReceiverPayload.model_validate({"name": "Clicks", "signature": {"scheme": "github", "secrets": [SECRET]}})

    text = dump_draft(receiver_draft(payload, SETTINGS, CIPHER.encrypt))

    assert SECRET not in text
    taken = load_draft(ReceiverDraft, text).signature
    assert taken is not None
    assert CIPHER.decrypt(taken.secrets[0].sealed) == SECRET


def test_secret_is_shown_by_its_fingerprint_alone() -> None:
    record = receiver(signature=signature(scheme="github", secrets=[SECRET, "another secret"]))

    answer = shown(record)

    assert answer["signature"] == {
        "scheme": "github",
        "fingerprints": [fingerprint(SECRET, "clicks"), fingerprint("another secret", "clicks")],
    }
    assert SECRET not in repr(record)
    assert "gAAAA" not in repr(record.signature)


def test_fingerprint_is_the_secrets_and_the_receivers() -> None:
    found = {fingerprint(secret, name) for secret in (SECRET, "another secret") for name in ("clicks", "views")}

    assert len(found) == 4
    assert all(len(one) == 10 for one in found)
    assert fingerprint(SECRET, "clicks") in found


def test_form_of_ones_own_takes_defaults_and_canonical_names() -> None:
    found = signature(scheme="hmac", secrets=[SECRET], header="x-sIGNATURE")

    assert (found.scheme, found.tolerance_seconds) == (Scheme.HMAC, None)
    assert found.form == HmacForm("X-Signature", Algorithm.SHA256, Encoding.HEX, "", None, "{body}")


def test_whole_form_of_ones_own_is_shown_as_it_was_given() -> None:
    given = {
        "scheme": "hmac",
        "tolerance": "1m30s",
        "header": "X-Signature",
        "algorithm": "sha1",
        "encoding": "base64",
        "prefix": "v1=",
        "timestampHeader": "X-Time",
        "content": "v1.{timestamp}.{body}",
    }

    answer = shown(receiver(signature=signature(**given, secrets=[SECRET])))

    assert answer["signature"] == {**given, "fingerprints": [fingerprint(SECRET, "clicks")]}


@pytest.mark.parametrize("scheme", ["stripe", "slack", "standard-webhooks"])
def test_signed_time_has_a_tolerance_of_five_minutes(scheme: str) -> None:
    assert signature(scheme=scheme, secrets=["whsec_c2VjcmV0c2VjcmV0"]).tolerance_seconds == 300


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"secrets": ["short"]}, "length of body.signature.secrets[0] must be 8 to 512 but got (len=5)"),
        ({"secrets": [SECRET, SECRET]}, "body.signature.secrets has the same secret twice"),
        ({"tolerance": "1m"}, "body.signature.tolerance is for schemes that sign a time, and this one does not"),
        ({"scheme": "slack", "tolerance": "25h"}, "body.signature.tolerance must be a duration from 1s to 24h0m0s"),
        ({"scheme": "slack", "tolerance": "soon"}, 'such as "5m0s", but got value "soon"'),
        ({"scheme": "standard-webhooks"}, 'body.signature.secrets[0]: a secret of the scheme "standard-webhooks" must'),
        (
            {"scheme": "standard-webhooks", "secrets": ["whsec_c2hvcnQ="]},
            "body.signature.secrets[0] is the base64 of 5 bytes; it must be of 8 at least",
        ),
        ({"header": "X"}, 'body.signature.header is for the scheme "hmac" alone'),
        ({"timestampHeader": "X"}, 'body.signature.timestampHeader is for the scheme "hmac" alone'),
        ({"scheme": "hmac"}, '"header" is missing from body.signature'),
        ({"scheme": "hmac", "header": "a b"}, 'body.signature.header "a b" is no name of a header'),
        ({"scheme": "hmac", "header": "Host"}, 'body.signature.header "Host" is no name of a header'),
        ({"scheme": "hmac", "header": "streams.id"}, "is no name of a header"),
        ({"scheme": "hmac", "header": "X", "content": "{body}."}, 'body.signature.content must end with "{body}"'),
        ({"scheme": "hmac", "header": "X", "content": "{body}{body}"}, "body.signature.content must end with"),
        ({"scheme": "hmac", "header": "X", "content": "{timestamp}{body}"}, "body.signature.content must end with"),
        (
            {"scheme": "hmac", "header": "X", "timestampHeader": "T", "content": "{body}"},
            'and have "{timestamp}" once before it where there is a timestampHeader',
        ),
    ],
)
def test_what_cannot_be_meant_is_said_and_repeats_no_secret(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest) as raised:
        signature(**{"scheme": "github", "secrets": [SECRET], **fields})

    assert message in raised.value.message
    assert SECRET not in raised.value.message


@pytest.mark.parametrize("secrets", [SECRET, 1234567890, {"a": SECRET}, [1234567890], [[SECRET]], [SECRET] * 3, []])
def test_what_is_no_secret_is_not_repeated_either(secrets: object) -> None:
    with pytest.raises(ValidationError) as raised:
        ReceiverPayload.model_validate({"name": "C", "signature": {"scheme": "github", "secrets": secrets}})

    errors = [{**error, "loc": ("body", *error["loc"])} for error in raised.value.errors()]
    told = " ".join(complaint.message for complaint in first_complaints(errors))
    assert "body.signature.secrets" in told
    assert SECRET not in told
    assert "1234567890" not in told


def change(body: dict[str, Any]) -> ReceiverChange:
    made = receiver_change(ReceiverPatch.model_validate(body), "clicks", CIPHER.encrypt)
    return load_draft(ReceiverChange, dump_draft(made))


def test_change_of_a_receiver_leaves_out_what_stays() -> None:
    signed = receiver(signature=signature(scheme="github", secrets=[SECRET]), bearer_only=True)

    assert change({"name": "Views"}).applied_to(signed) == replace(signed, name="Views")
    assert change({"auth": "url"}).applied_to(signed) == replace(signed, bearer_only=False)
    assert change({"auth": None, "signature": None}).applied_to(signed) == replace(signed, signature=None)


def test_signature_without_secrets_keeps_those_that_are_there() -> None:
    signed = receiver(signature=signature(scheme="github", secrets=[SECRET]))

    changed = change({"signature": {"scheme": "shopify"}}).applied_to(signed).signature

    assert changed is not None
    assert signed.signature is not None
    assert (changed.scheme, changed.secrets) == (Scheme.SHOPIFY, signed.signature.secrets)


def test_signature_whose_secrets_are_base64_does_not_keep_those_of_another_scheme() -> None:
    """The gateway could check nothing by them, and would have to refuse every sender."""
    wanted = change({"signature": {"scheme": "standard-webhooks"}})

    with pytest.raises(BadRequest, match='those of "standard-webhooks" must be base64'):
        wanted.applied_to(receiver(signature=signature(scheme="github", secrets=[SECRET])))


def test_signature_without_secrets_is_refused_where_there_are_none() -> None:
    wanted = change({"signature": {"scheme": "github"}})

    with pytest.raises(BadRequest, match="is missing from body"):
        wanted.applied_to(receiver())
    with pytest.raises(BadRequest, match="is missing from body"):
        SignatureChange(Signature(Scheme.GITHUB, ())).applied_to(None)


@pytest.mark.parametrize(
    "change",
    [
        ReceiverChange(bearer_only=True),
        ReceiverChange(split=False),
        ReceiverChange(signature=SignatureChange(Signature(Scheme.GITHUB, (SigningSecret("f", b"x"),)))),
    ],
)
def test_receiver_with_a_source_takes_no_change_of_requests(change: ReceiverChange) -> None:
    bound = replace(receiver(), topic="orders")

    with pytest.raises(BadRequest, match="takes no requests"):
        change.applied_to(bound)


def test_url_and_token_are_shown_as_senders_use_them() -> None:
    in_url, by_token = shown(receiver()), shown(receiver(bearer_only=True))

    assert in_url["url"] == f"http://here/v1/import/1/clicks/{'s' * 48}"
    assert not {"auth", "token", "signature", "previousSecretUntil"} & in_url.keys()
    assert (by_token["url"], by_token["auth"], by_token["token"]) == (
        "http://here/v1/import/1/clicks",
        "bearer",
        "s" * 48,
    )


def test_secret_before_is_spoken_of_while_it_works() -> None:
    later = shown(receiver(previous=PreviousSecret(b"x", 2**42)))
    over = shown(receiver(previous=PreviousSecret(b"x", 1000)))

    assert later["previousSecretUntil"] == "2109-05-15T07:35:11.104Z"
    assert "previousSecretUntil" not in over
    assert json.dumps(later).count("s" * 48) == 1
