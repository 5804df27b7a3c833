"""`streams topics`: the topics of an installation, planned, made and checked. Receivers' topics come with receivers."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from app.settings import Settings, load_settings

topics = typer.Typer(
    help="Plan, create and check the topics of this installation.\n\n"
    "A receiver's own topic is not among them: it is made with the receiver.",
    no_args_is_help=True,
)


@topics.command()
def plan(
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects, for scripts.")] = False,
) -> None:
    """Print the topics that there must be, without asking Kafka.

    With STREAMS_TOPICS=managed nothing is created for you: create these as you create your other topics.
    """
    from app.kafka.plan import system_topics

    specs = system_topics(load_settings())
    if as_json:
        rows = [
            {
                "name": spec.name,
                "partitions": spec.partitions,
                "replication_factor": spec.replication_factor,
                "config": dict(spec.config),
            }
            for spec in specs
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("topic", "partitions", "replicas", Column("settings", overflow="fold"), box=None, header_style="bold")
    for spec in specs:
        config = "\n".join(f"{name}={value}" for name, value in sorted(spec.config.items()))
        table.add_row(spec.name, str(spec.partitions), str(spec.replication_factor), config)
    Console().print(table)


@topics.command()
def apply() -> None:
    """Create the topics that are missing; nothing that exists is changed."""
    from app.kafka.client import connect_admin
    from app.kafka.plan import create_topics, system_topics
    from app.model.errors import ConfigurationError

    settings = _settings()
    if settings.topics == "managed":
        raise ConfigurationError(
            "STREAMS_TOPICS=managed: nothing is created. `streams topics plan` prints what to create."
        )
    created = create_topics(connect_admin(settings), system_topics(settings))
    for name in created:
        typer.echo(f"created {name}")
    typer.echo(f"{len(created)} created, {len(system_topics(settings)) - len(created)} were there")


@topics.command()
def check() -> None:
    """Compare the topics in Kafka with the plan; ends with 1 when they differ."""
    from app.kafka.client import connect_admin
    from app.kafka.plan import check_topics, system_topics

    settings = _settings()
    specs = system_topics(settings)
    differences = check_topics(connect_admin(settings), specs)
    for difference in differences:
        typer.echo(f"{difference.topic}: {difference.text}")
    if differences:
        raise typer.Exit(1)
    typer.echo(f"All {len(specs)} topics are as planned.")


def _settings() -> Settings:
    """With the Kafka of the local stack that runs, where none is named."""
    from app.local.state import running_stack

    settings = load_settings()
    if "kafka_bootstrap_servers" in settings.model_fields_set:
        return settings
    stack = running_stack(settings.local_dir)
    broker = stack.address_of("kafka") if stack else None
    return settings.model_copy(update={"kafka_bootstrap_servers": broker}) if broker else settings
