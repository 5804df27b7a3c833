"""The broker's server.properties: one node that is broker and controller, on loopback, with small internal topics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

MAX_MESSAGE_BYTES = 4 * 1024 * 1024


def server_properties(
    port: int, controller_port: int, log_dir: Path, others: Mapping[str, object] | None = None
) -> str:
    """The text of server.properties for a broker on 127.0.0.1:`port` with its data in `log_dir`.

    `others` are added to ours, or take their places.
    """
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": log_dir,
        # Topics are made by our plan only, and one node holds one replica of each.
        "auto.create.topics.enable": "false",
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # A body of 1 MiB does not fit the defaults.
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "replica.fetch.max.bytes": MAX_MESSAGE_BYTES,
        # One machine: nobody to wait for when a group forms.
        "group.initial.rebalance.delay.ms": 0,
        # A killed broker may register again only when its session has run out, which the default makes 9 s.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        # The cleaner's table is 128 MiB by default, a quarter of our heap; 8 MiB hold 300,000 keys.
        "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
        **(others or {}),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
