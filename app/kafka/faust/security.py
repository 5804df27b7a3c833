"""The security of librdkafka's properties, said again in aiokafka's words."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from app.model.errors import ConfigurationError
from app.model.security import problem_of


def aiokafka_security(properties: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of an AIOKafkaConsumer for librdkafka properties such as {"security.protocol": "SASL_SSL"}.

    Raises ConfigurationError for what does not go together, aiokafka cannot speak, or cannot be loaded.
    """
    if problem := problem_of(properties):
        raise ConfigurationError(f"{problem}.")
    protocol = properties.get("security.protocol", "PLAINTEXT").upper()
    arguments: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        arguments["ssl_context"] = _ssl_context(properties)
    if protocol.startswith("SASL"):
        arguments |= {
            "sasl_mechanism": properties["sasl.mechanism"].upper(),
            "sasl_plain_username": properties["sasl.username"],
            "sasl_plain_password": properties["sasl.password"],
        }
    return arguments


def _ssl_context(properties: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            cafile=properties.get("ssl.ca.location"), cadata=properties.get("ssl.ca.pem")
        )
        if certificate := properties.get("ssl.certificate.location"):
            context.load_cert_chain(certificate, properties.get("ssl.key.location"), properties.get("ssl.key.password"))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"The certificates named by STREAMS_KAFKA_SSL_* cannot be loaded: {error}. They must be readable PEM files."
        ) from error
    if properties.get("ssl.endpoint.identification.algorithm", "https") == "none":
        context.check_hostname = False
    if properties.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
