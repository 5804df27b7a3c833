"""`streams local up`: the whole stack in the foreground, with the demo beside it if asked for."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from app.kafka.client import connect_admin
from app.kafka.plan import ensure_topics, system_topics
from app.local.child import Child, start_child
from app.local.display import StackDisplay, print_addresses
from app.local.parts import stack_parts
from app.local.stack import Stack
from app.local.surroundings import child_environment, local_settings
from app.settings import Settings


def stop_seconds(settings: Settings) -> float:
    """How long a part may take to stop before it is killed: a gateway waits for requests, then for Kafka."""
    return 2 * settings.graceful_stop_seconds + 5


class Demo(Child):
    """The demo as a process of its own on our terminal, so that its load and its end are not the supervisor's."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        command = [sys.executable, "-m", "app", "local", "demo"]
        self._process = start_child(command, None, Path.cwd(), child_environment(settings))


def up(settings: Settings, console: Console, demo: bool) -> None:
    """Run the local stack until told to stop. Raises ConfigurationError when it cannot start."""
    settings = local_settings(settings)

    def make_topics() -> None:
        ensure_topics(connect_admin(settings), settings, system_topics(settings))

    with StackDisplay(console) as display:
        stack = Stack(
            stack_parts(settings),
            display,
            address=f"http://127.0.0.1:{settings.gateway_port}",
            home=settings.local_dir,
            between=make_topics,
            stop_seconds=stop_seconds(settings),
        )

        def ready() -> Child | None:
            display.settle()
            print_addresses(console, settings, display.seconds())
            return Demo(settings) if demo else None

        stack.run(ready)
        display.notice("Stopped. The next start goes on with what is there.")
