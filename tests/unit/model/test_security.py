"""Settings of Kafka's security that do not go together are refused by name, before anything connects."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.model.errors import ConfigurationError
from app.model.security import named_as_librdkafka_does, problem_of
from app.settings import load_settings

SASL = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": "me",
    "sasl.password": "secret",
}


@pytest.mark.parametrize("properties", [{}, {"linger.ms": "5"}, SASL, {"security.protocol": "ssl"}])
def test_what_goes_together_is_no_problem(properties: dict[str, str]) -> None:
    assert problem_of(properties) is None


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"security.protocol": "TLS"}, "STREAMS_KAFKA_SECURITY_PROTOCOL=TLS is not known"),
        ({**SASL, "security.protocol": "SSL"}, "STREAMS_KAFKA_SASL_MECHANISM is set, but"),
        (
            {"sasl.password": "x"},
            "STREAMS_KAFKA_SASL_PASSWORD is set, but STREAMS_KAFKA_SECURITY_PROTOCOL is PLAINTEXT",
        ),
        ({**SASL, "ssl.ca.location": "x"}, "STREAMS_KAFKA_SSL_CA_FILE is set, but"),
        ({**SASL, "sasl.mechanism": "OAUTHBEARER"}, "STREAMS_KAFKA_SASL_MECHANISM=OAUTHBEARER cannot be used"),
        ({"security.protocol": "SASL_SSL"}, "STREAMS_KAFKA_SASL_MECHANISM is not set"),
        ({**SASL, "sasl.password": ""}, "STREAMS_KAFKA_SASL_PASSWORD must be set for SASL"),
        (
            {"security.protocol": "SSL", "ssl.key.location": __file__},
            "STREAMS_KAFKA_SSL_CERTIFICATE_FILE and STREAMS_KAFKA_SSL_KEY_FILE go together",
        ),
        (
            {"security.protocol": "SSL", "ssl.ca.location": "/nowhere/ca.pem"},
            "STREAMS_KAFKA_SSL_CA_FILE: there is no file /nowhere/ca.pem",
        ),
        (
            {"security.protocol": "SSL", "ssl.keystore.location": "x"},
            "STREAMS_KAFKA_SSL_KEYSTORE_LOCATION cannot be used by all processes",
        ),
    ],
)
def test_what_does_not_is_named_with_its_setting(properties: dict[str, str], words: str) -> None:
    problem = problem_of(properties)

    assert problem is not None
    assert words in problem


def test_password_is_not_said() -> None:
    problem = problem_of({**SASL, "sasl.mechanism": "x"})

    assert problem is not None
    assert "secret" not in problem


def test_files_may_be_called_files() -> None:
    assert named_as_librdkafka_does({"ssl.ca.file": "a", "sasl.mechanisms": "b", "linger.ms": "5"}) == {
        "ssl.ca.location": "a",
        "sasl.mechanism": "b",
        "linger.ms": "5",
    }


def test_settings_refuse_them_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = tmp_path / "env"
    environment.write_text("STREAMS_KAFKA_SECURITY_PROTOCOL=SASL_SSL\nSTREAMS_KAFKA_SASL_MECHANISM=PLAIN\n")
    monkeypatch.delenv("STREAMS_KAFKA_SASL_USERNAME", raising=False)

    with pytest.raises(ConfigurationError, match=r"^Bad settings: STREAMS_KAFKA_SASL_USERNAME and .* must be set"):
        load_settings(environment)
