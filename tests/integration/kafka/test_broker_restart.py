"""What reads Kafka for as long as a process lives goes on after a broker was killed and came back."""

from __future__ import annotations

from pathlib import Path

from app.kafka.client import connect_admin
from app.kafka.plan import ensure_topics, system_topics
from app.kafka.view import ControlView
from app.local.kafka import LocalBroker
from app.settings import Settings


async def test_read_barrier_is_met_again_after_the_broker_was_killed(tmp_path: Path, topic_prefix: str) -> None:
    with LocalBroker(tmp_path / "kafka", heap_mib=256) as broker:
        settings = Settings(kafka_bootstrap_servers=broker.bootstrap_servers, topic_prefix=topic_prefix)
        ensure_topics(connect_admin(settings), settings, system_topics(settings))
        async with ControlView(settings) as view:
            await view.caught_up(60)

            broker.kill()
            broker.start()

            await view.caught_up(60)
