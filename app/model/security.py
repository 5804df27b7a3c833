"""How Kafka is spoken to securely: which settings there are, and which go together. Pure but for
a look whether files are there.

The words are librdkafka's, since that is what the settings go to; Faust's consumer is given the same in its own
(`app.kafka.faust.security`), so what that does not know is refused here, for every process alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
NAMES: Mapping[str, str] = {
    "ssl.ca.file": "ssl.ca.location",
    "ssl.certificate.file": "ssl.certificate.location",
    "ssl.key.file": "ssl.key.location",
    "sasl.mechanisms": "sasl.mechanism",
}
"""librdkafka's name of what may be called otherwise."""
_FILES = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")
_UNSUPPORTED: Mapping[str, str] = {
    "ssl.certificate.pem": "STREAMS_KAFKA_SSL_CERTIFICATE_FILE",
    "ssl.key.pem": "STREAMS_KAFKA_SSL_KEY_FILE",
    "ssl.keystore.location": "STREAMS_KAFKA_SSL_CERTIFICATE_FILE and STREAMS_KAFKA_SSL_KEY_FILE (PEM)",
}


def named_as_librdkafka_does(properties: Mapping[str, str]) -> dict[str, str]:
    """The same properties; what has another name with us (STREAMS_KAFKA_SSL_CA_FILE) under librdkafka's."""
    return {NAMES.get(name, name): value for name, value in properties.items()}


def problem_of(properties: Mapping[str, str]) -> str | None:
    """What is wrong with the security among these properties, in words that name the settings; None when nothing is."""
    protocol = properties.get("security.protocol", "PLAINTEXT").upper()
    if protocol not in PROTOCOLS:
        return f"STREAMS_KAFKA_SECURITY_PROTOCOL={protocol} is not known: it must be one of {', '.join(PROTOCOLS)}"
    for name, instead in _UNSUPPORTED.items():
        if name in properties:
            return f"{variable(name)} cannot be used by all processes: set {instead}"
    for prefix, speaks, wanted in (
        ("sasl.", protocol.startswith("SASL"), "SASL_SSL"),
        ("ssl.", protocol.endswith("SSL"), "SSL or SASL_SSL"),
    ):
        idle = [name for name, value in sorted(properties.items()) if name.startswith(prefix) and value]
        if idle and not speaks:
            return f"{variable(idle[0])} is set, but STREAMS_KAFKA_SECURITY_PROTOCOL is {protocol}: set {wanted}"
    return (_sasl_problem(properties) if protocol.startswith("SASL") else None) or (
        _ssl_problem(properties) if protocol.endswith("SSL") else None
    )


def variable(name: str) -> str:
    """The environment variable of a property."""
    ours = next((our for our, theirs in NAMES.items() if theirs == name and our.endswith("file")), name)
    return "STREAMS_KAFKA_" + ours.upper().replace(".", "_")


def _sasl_problem(properties: Mapping[str, str]) -> str | None:
    mechanism = properties.get("sasl.mechanism", "").upper()
    if mechanism not in MECHANISMS:
        said = f"={mechanism} cannot be used" if mechanism else " is not set"
        return f"STREAMS_KAFKA_SASL_MECHANISM{said}: it must be one of {', '.join(MECHANISMS)}"
    missing = [variable(name) for name in ("sasl.username", "sasl.password") if not properties.get(name)]
    return f"{' and '.join(missing)} must be set for SASL" if missing else None


def _ssl_problem(properties: Mapping[str, str]) -> str | None:
    if ("ssl.certificate.location" in properties) != ("ssl.key.location" in properties):
        return "STREAMS_KAFKA_SSL_CERTIFICATE_FILE and STREAMS_KAFKA_SSL_KEY_FILE go together: one of them is missing"
    for name in _FILES:
        if name in properties and not Path(properties[name]).is_file():
            return f"{variable(name)}: there is no file {properties[name]}"
    return None
