"""`streams gateway|control|mapper|sink`: each runs one process until it is told to stop."""

from __future__ import annotations

import typer

from app.settings import load_settings


def add_processes(app: typer.Typer) -> None:
    """Add the four commands to the `streams` command."""
    for command in (gateway, control, mapper, sink):
        app.command(rich_help_panel="Processes")(command)


def gateway() -> None:
    """Take events over HTTP and serve the Buffer API.

    Listens on STREAMS_LISTEN_ADDRESS and STREAMS_GATEWAY_PORT (8000). An event is acknowledged when Kafka has it.
    `/ready` answers 200 when it can serve, `/health-check` while it is alive. Keeps nothing: run as many as you like.
    """
    from app.gateway.process import run

    run(load_settings())


def control() -> None:
    """Carry out the API's commands: make buckets, tables, tokens and topics.

    Metrics, readiness and liveness on STREAMS_CONTROL_PORT (9101). Run two or more for a stand-in; one works on a
    project.
    """
    from app.control.process import run

    run(load_settings())


def mapper() -> None:
    """Map events to rows by each export's columns.

    Metrics, readiness and liveness on STREAMS_MAPPER_PORT (9102). Scales out to the partitions of the receivers'
    topics; STREAMS_MAPPING_CHILDREN is how many cores one mapper uses.
    """
    from app.mapper.process import run

    run(load_settings())


def sink() -> None:
    """Gather rows into batches and import each once.

    Metrics, readiness and liveness on STREAMS_SINK_PORT (9103). Scales out to the partitions of the rows topic.
    """
    from app.sink.process import run

    run(load_settings())
