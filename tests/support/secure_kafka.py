"""A broker as operators run it: TLS with client certificates, SCRAM, and the standard authorizer.

What the authorizer decides is in its log, with the entry that it stood on: so it is seen what was used, and what was
refused.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package re-exports some without saying so
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from app.kafka.acls import Acl, Operation, Resource
from app.local.kafka import LocalBroker
from app.local.ports import free_port

PASSWORD = "a password"
_TYPES = {
    Resource.TOPIC: ResourceType.TOPIC,
    Resource.GROUP: ResourceType.GROUP,
    Resource.TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {
    Operation.READ: AclOperation.READ,
    Operation.WRITE: AclOperation.WRITE,
    Operation.CREATE: AclOperation.CREATE,
    Operation.DELETE: AclOperation.DELETE,
    Operation.DESCRIBE: AclOperation.DESCRIBE,
    Operation.DESCRIBE_CONFIGS: AclOperation.DESCRIBE_CONFIGS,
}
_SECONDS = 30
_DECISION = re.compile(
    r"Principal = (?P<who>\S+) is (?P<decision>Allowed|Denied) operation = (?P<operation>\w+) from host = \S+ on "
    r"resource = (?P<resource>\S+) for request = (?P<request>\w+) with resourceRefCount = \d+ based on rule "
    r"(?P<rule>.*?) \(\w+\)$"
)
_ENTRY = re.compile(
    r"resourceType=(?P<kind>\w+), resourceName=(?P<name>[^,]*), patternType=(?P<pattern>\w+), .*?operation=(?P<op>\w+)"
)


@dataclass(frozen=True)
class Decision:
    """What the authorizer said; `entry` is the kind, name, pattern and operation of the ACL that allowed it."""

    who: str
    allowed: bool
    operation: str
    resource: str
    request: str
    entry: tuple[str, str, str, str] | None


@dataclass
class SecureKafka:
    """Use it as a context manager. Superusers are on a plain listener of their own, which only the test knows."""

    folder: Path
    port: int = field(default_factory=free_port)
    broker: LocalBroker = field(init=False)
    _log: TextIO | None = None
    _unread: str = ""
    _decided: defaultdict[str, list[Decision]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        _make_certificates(self.folder)
        inner, controller = free_port(), free_port()
        self.broker = LocalBroker(
            self.folder / "kafka",
            port=inner,
            controller_port=controller,
            authorizer_log="debug",
            properties={
                "listeners": f"BROKER://127.0.0.1:{inner},CONTROLLER://127.0.0.1:{controller},"
                f"CLIENTS://127.0.0.1:{self.port}",
                "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENTS:SASL_SSL",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
                "listener.name.clients.sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.clients.scram-sha-512.sasl.jaas.config": (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                ),
                "listener.name.clients.ssl.keystore.type": "PEM",
                "listener.name.clients.ssl.keystore.location": self.folder / "broker.pem",
                "listener.name.clients.ssl.truststore.type": "PEM",
                "listener.name.clients.ssl.truststore.location": self.folder / "ca.pem",
                "listener.name.clients.ssl.client.auth": "required",
            },
        )

    def __enter__(self) -> SecureKafka:
        self.broker.start()
        self.admin = AdminClient({"bootstrap.servers": self.broker.bootstrap_servers, "log_level": 0})
        return self

    def __exit__(self, *_: object) -> None:
        del self.admin  # before its broker
        self.broker.kill()
        if self._log is not None:
            self._log.close()

    @property
    def bootstrap_servers(self) -> str:
        """Of the listener for clients."""
        return f"127.0.0.1:{self.port}"

    def add_users(self, names: Iterable[str]) -> None:
        kind = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        users = [UserScramCredentialUpsertion(name, kind, PASSWORD.encode()) for name in names]
        for answer in self.admin.alter_user_scram_credentials(users).values():
            answer.result(_SECONDS)

    def security_of(self, user: str) -> dict[str, str]:
        """Settings of our own, by their names without STREAMS_."""
        return {
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": PASSWORD,
            "KAFKA_SSL_CA_FILE": str(self.folder / "ca.pem"),
            "KAFKA_SSL_CERTIFICATE_FILE": str(self.folder / "client.pem"),
            "KAFKA_SSL_KEY_FILE": str(self.folder / "client.key"),
        }

    def allow(self, user: str, allowed: Iterable[Acl]) -> None:
        for answer in self.admin.create_acls([_binding(user, acl) for acl in allowed]).values():
            answer.result(_SECONDS)

    def forbid(self, user: str, acl: Acl) -> None:
        binding = _binding(user, acl)
        entry = AclBindingFilter(
            *(binding.restype, binding.name, binding.resource_pattern_type, binding.principal, binding.host),
            *(binding.operation, binding.permission_type),
        )
        for answer in self.admin.delete_acls([entry]).values():
            assert len(answer.result(_SECONDS)) == 1

    def decisions(self, prefix: str) -> list[Decision]:
        """All since the broker's start about users whose names begin so."""
        for line in self._new_lines():
            found = _DECISION.search(line)
            if found is not None:
                entry = _ENTRY.search(found["rule"])
                decision = Decision(
                    *(found["who"], found["decision"] == "Allowed", found["operation"], found["resource"]),
                    *(found["request"], None if entry is None else (*entry.group("kind", "name", "pattern", "op"),)),
                )
                self._decided[decision.who].append(decision)
        return [one for who, some in self._decided.items() if who.startswith(f"User:{prefix}") for one in some]

    def _new_lines(self) -> list[str]:
        """Whole lines of the log since the last call. It is renamed when it is large; what was open stays open."""
        if self._log is None:
            self._log = self.broker.log_file.open(errors="replace")
        text = self._unread + self._log.read()
        if os.fstat(self._log.fileno()).st_ino != self.broker.log_file.stat().st_ino:
            text += self._log.read()
            self._log.close()
            self._log = self.broker.log_file.open(errors="replace")
            text += self._log.read()
        whole, end, self._unread = text.rpartition("\n")
        return whole.split("\n") if end else []


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    with SecureKafka(folder) as kafka:
        yield kafka


def entry_of(acl: Acl) -> tuple[str, str, str, str]:
    """As the authorizer names it."""
    operation = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", acl.operation.value).upper()
    return acl.resource.name, acl.name, "PREFIXED" if acl.prefixed else "LITERAL", operation


def _binding(user: str, acl: Acl) -> AclBinding:
    pattern = ResourcePatternType.PREFIXED if acl.prefixed else ResourcePatternType.LITERAL
    return AclBinding(
        *(_TYPES[acl.resource], acl.name, pattern, f"User:{user}", "*"),
        *(_OPERATIONS[acl.operation], AclPermissionType.ALLOW),
    )


def _make_certificates(folder: Path) -> None:
    """ca.pem; broker.pem (key and certificate, for 127.0.0.1); client.pem and client.key."""
    ca_key, ca_name = ec.generate_private_key(ec.SECP256R1()), _name("ca")
    ca = _certificate(ca_name, ca_name, ca_key, ca_key, [(x509.BasicConstraints(ca=True, path_length=None), True)])
    (folder / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    for who in ("broker", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(_name(who), ca_name, key, ca_key, [(here, False)])
        text = made.public_bytes(Encoding.PEM)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{who}.pem").write_bytes(secret + text if who == "broker" else text)
        if who == "client":
            (folder / "client.key").write_bytes(secret)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: Any, issuer_key: Any, extensions: list[tuple[Any, bool]]
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """As environment variables."""
    return {f"STREAMS_{name}": value for name, value in settings.items()}
