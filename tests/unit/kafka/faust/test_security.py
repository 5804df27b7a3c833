"""librdkafka's security properties in aiokafka's words."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from app.kafka.faust.security import aiokafka_security
from app.model.errors import ConfigurationError


def test_plaintext_is_the_default() -> None:
    assert aiokafka_security({"linger.ms": "5"}) == {"security_protocol": "PLAINTEXT"}


def test_sasl_credentials_are_passed_on() -> None:
    properties = {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "secret",
    }

    assert aiokafka_security(properties) == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "me",
        "sasl_plain_password": "secret",
    }


def test_tls_verifies_the_broker_unless_told_otherwise() -> None:
    strict = aiokafka_security({"security.protocol": "SSL"})["ssl_context"]
    nameless = aiokafka_security({"security.protocol": "SSL", "ssl.endpoint.identification.algorithm": "none"})
    blind = aiokafka_security({"security.protocol": "SSL", "enable.ssl.certificate.verification": "false"})

    assert (strict.check_hostname, strict.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert (nameless["ssl_context"].check_hostname, nameless["ssl_context"].verify_mode) == (False, ssl.CERT_REQUIRED)
    assert blind["ssl_context"].verify_mode == ssl.CERT_NONE


def test_what_cannot_be_spoken_is_refused_with_what_can() -> None:
    with pytest.raises(ConfigurationError, match="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"):
        aiokafka_security({"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"})


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")

    with pytest.raises(ConfigurationError, match="readable PEM files"):
        aiokafka_security({"security.protocol": "SSL", "ssl.ca.location": str(broken)})
