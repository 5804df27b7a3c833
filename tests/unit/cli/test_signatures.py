"""Signatures in files: compared with what the API shows, secrets from the environment, nothing left to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.cli.bodies import body_of, read_receiver
from app.cli.files import BadFile, read_exports_or_receivers, read_receivers
from app.cli.plan import Plan, plan_receiver
from app.model.signature import fingerprint

SECRET, OTHER = "a secret of GitHub", "another secret of GitHub"


def wanted(**others: Any) -> dict[str, Any]:
    return {"name": "Clicks", **others}


def signed(*secrets: str, **others: Any) -> dict[str, Any]:
    given = {"secrets": list(secrets)} if secrets else {}
    return wanted(signature={"scheme": "github", **given, **others})


def shown(*secrets: str, **others: Any) -> dict[str, Any]:
    """As the API shows a receiver with these secrets."""
    prints = [fingerprint(secret, "clicks") for secret in secrets]
    return {
        "id": "clicks",
        "url": "http://h/v1/import/1/clicks/s",
        "previousSecretUntil": "2026-01-03T03:04:05.678Z",
        "name": "Clicks",
        "description": "",
        "signature": {"scheme": "github", "fingerprints": prints, **others},
        "exports": [],
    }


def plan(after: dict[str, Any], before: dict[str, Any]) -> Plan:
    return plan_receiver(read_receiver(after)[0], read_receiver(before)[0])


def bodies(made: Plan) -> list[dict[str, Any]]:
    return [body_of(step.draft) for step in made.steps if step.draft is not None]


def differences(made: Plan) -> list[tuple[str, str | None, str | None]]:
    return [(one.path, one.before, one.after) for step in made.steps for one in step.differences]


@pytest.mark.parametrize(
    "file", [signed(SECRET), signed(), signed(fingerprints=["0123456789"]), shown(SECRET), shown(OTHER)]
)
def test_same_secret_or_none_is_no_difference(file: dict[str, Any]) -> None:
    assert plan(file, shown(SECRET)).steps == ()


def test_other_secret_is_sent_and_spoken_of_by_its_fingerprint() -> None:
    made = plan(signed(OTHER, SECRET), shown(SECRET))

    prints = [fingerprint(secret, "clicks") for secret in (SECRET, OTHER)]
    assert differences(made) == [("signature.secrets", prints[0], f"{prints[1]}, {prints[0]}")]
    assert bodies(made) == [{"signature": {"scheme": "github", "secrets": [OTHER, SECRET]}}]
    assert SECRET not in repr(made)


def test_other_settings_leave_the_secrets_alone() -> None:
    made = plan(wanted(signature={"scheme": "slack", "tolerance": "60s"}), shown(SECRET))

    assert differences(made) == [("signature.scheme", "github", "slack"), ("signature.tolerance", None, "1m0s")]
    assert bodies(made) == [{"signature": {"scheme": "slack", "tolerance": "1m0s"}}]


def test_signature_that_the_file_leaves_out_is_removed_and_said_to_be() -> None:
    made = plan(wanted(), shown(SECRET))

    assert differences(made) == [("signature", "github", None)]
    assert bodies(made) == [{"signature": None}]


def test_new_receiver_is_created_with_secrets_and_token() -> None:
    draft = read_receiver({**signed(SECRET), "auth": "bearer"})[0]

    (body,) = bodies(plan_receiver(draft, None))

    assert (body["auth"], body["signature"]) == ("bearer", {"scheme": "github", "secrets": [SECRET]})


def test_place_of_the_secret_is_changed_to_what_the_file_says() -> None:
    token = {**wanted(), "auth": "bearer", "token": "t", "url": "u"}

    assert differences(plan(wanted(), token)) == [("auth", "bearer", "url")]
    assert bodies(plan(token, wanted())) == [{"auth": "bearer"}]


def test_form_of_ones_own_is_compared_in_normal_form() -> None:
    form = {"scheme": "hmac", "header": "x-a", "timestampHeader": "x-t"}
    there = {"scheme": "hmac", "fingerprints": [fingerprint(SECRET, "clicks")], "tolerance": "5m0s", "header": "X-A"}
    there |= {"algorithm": "sha256", "encoding": "hex", "prefix": "", "timestampHeader": "X-T"}
    there["content"] = "{timestamp}.{body}"

    assert plan(wanted(signature={**form, "secrets": [SECRET]}), wanted(signature=there)).steps == ()


def test_secret_of_a_file_may_be_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(signed("${GITHUB_SECRET}", OTHER)))
    with pytest.raises(BadFile, match="GITHUB_SECRET, which holds a secret of the signature, is not set"):
        read_receivers(str(path))

    monkeypatch.setenv("GITHUB_SECRET", SECRET)
    (draft,), warnings = read_receivers(str(path))

    assert warnings == []
    assert draft.signature is not None
    assert [secret.sealed.decode() for secret in draft.signature.secrets] == [SECRET, OTHER]


def test_mapping_is_tried_without_the_secrets(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    mapping = {"tableId": "in.c-web.all", "columns": [{"name": "id", "type": "id"}]}
    path.write_text(
        json.dumps(
            {**signed("${NOT_SET}", scheme="standard-webhooks"), "exports": [{"name": "All", "mapping": mapping}]}
        )
    )

    (export,), warnings = read_exports_or_receivers(str(path))

    assert (export.export_id, warnings) == ("all", [])
