"""`streams connectors`: configurations for Kafka Connect sinks that send to a receiver."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from app.cli.terminal import Address
from app.model.connect import SinkKind

connectors = typer.Typer(
    help="Send what is in other topics to a receiver, by Kafka Connect.\n\n"
    "`connectors/README.md` says which plug-in to take, and what each of them does with errors.",
    no_args_is_help=True,
)


@connectors.command()
def render(
    receiver: Annotated[str, typer.Option("--receiver", "-r", help="Id of the receiver.", show_default=False)],
    kind: Annotated[SinkKind, typer.Option(help="The sink plug-in that the worker has.")] = SinkKind.DATA_STREAMS,
    topics: Annotated[
        str | None, typer.Option(help="Topics to send, separated by commas. By default one named as the receiver.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the connector. By default RECEIVER-sink.", show_default=False)
    ] = None,
    dead_letters: Annotated[
        str | None, typer.Option(help="Topic for what is refused. By default NAME-dead-letters.", show_default=False)
    ] = None,
    replication_factor: Annotated[
        int, typer.Option(min=1, help="Of topics that the plug-in makes; 1 where there is one broker.")
    ] = 3,
    tasks: Annotated[int, typer.Option(min=1, help="How many tasks share the topics' partitions.")] = 1,
    brokers: Annotated[
        str | None,
        typer.Option(
            help="Brokers for the topics of Confluent's plug-ins. By default STREAMS_KAFKA_BOOTSTRAP_SERVERS.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="The receiver's URL; then the API is not asked.", show_default=False),
    ] = None,
    address: Address = None,
) -> None:
    """Print a connector's configuration, ready to be posted to a Connect worker.

    It holds the receiver's URL, or its token, and who knows that may send.
    Try: `streams connectors render -r clicks --topics page-views | curl -H "Content-Type: application/json" -d @-
    http://localhost:8083/connectors`
    """
    from app.cli.buffer import receiver_path
    from app.cli.terminal import api
    from app.model.connect import Destination, SinkRoute, connector_body, destination
    from app.settings import load_settings

    if url is None:
        with api(address) as buffer:
            to = destination(buffer.call("GET", receiver_path(receiver)))
    else:
        to = Destination(url)
    connector = name or f"{receiver}-sink"
    route = SinkRoute(
        name=connector,
        topics=tuple(topic.strip() for topic in (topics or receiver).split(",") if topic.strip()),
        to=to,
        dead_letters=dead_letters or f"{connector}-dead-letters",
        brokers=brokers or load_settings().kafka_bootstrap_servers,
        replication_factor=replication_factor,
        tasks=tasks,
    )
    typer.echo(json.dumps(connector_body(kind, route), indent=2))
