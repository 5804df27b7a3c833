"""`streams topics`: the topics of an installation, planned, made, checked, and exported for the tools of operators."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from app.model.errors import ConfigurationError
from app.model.ids import ID_PATTERN
from app.settings import Settings, load_settings

if TYPE_CHECKING:
    from app.kafka.acls import Acl
    from app.kafka.topic_spec import TopicSpec

topics = typer.Typer(
    help="Plan, create, check and export the topics of this installation.\n\n"
    "A receiver's own topic is made with the receiver, unless STREAMS_TOPICS=managed: then the operators make it, and "
    "the receiver's creation waits for it.",
    no_args_is_help=True,
)


class TopicFormat(StrEnum):
    STRIMZI = "strimzi"
    TERRAFORM = "terraform"
    KAFKA_TOPICS = "kafka-topics"
    MARKDOWN = "markdown"
    ASYNCAPI = "asyncapi"


class AclFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    STRIMZI = "strimzi"
    TERRAFORM = "terraform"
    KAFKA_ACLS = "kafka-acls"
    MARKDOWN = "markdown"


Receivers = Annotated[
    list[str] | None,
    typer.Option(
        "--receiver",
        metavar="PROJECT/RECEIVER",
        help="Only the topic of this receiver, which need not be there yet. Can be given several times.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print a list of objects, for scripts.")]
Cluster = Annotated[str, typer.Option(help="strimzi: the name of the Kafka resource.")]
ApiVersion = Annotated[str, typer.Option("--api", help="strimzi: v1beta2 for operators before 0.49.")]
CommandConfig = Annotated[
    str | None, typer.Option(help="Commands: the file with the client's security.", show_default=False)
]


@topics.command()
def plan(receiver: Receivers = None, as_json: AsJson = False) -> None:
    """Print the topics that there must be, without asking Kafka.

    With STREAMS_TOPICS=managed nothing is created for you: create these as you create your other topics
    (`streams topics export`).
    """
    specs = _specs(load_settings(), receiver)
    if as_json:
        rows = [
            {
                "name": spec.name,
                "partitions": spec.partitions,
                "replication_factor": spec.replication_factor,
                "config": dict(spec.config),
                "holds": spec.holds,
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
def apply(receiver: Receivers = None) -> None:
    """Create the topics that are missing; nothing that exists is changed."""
    from app.kafka.client import connect_admin
    from app.kafka.plan import create_missing

    settings = _settings()
    if settings.topics == "managed":
        raise ConfigurationError(
            "STREAMS_TOPICS=managed: nothing is created. `streams topics export --format kafka-topics` prints what to "
            "create."
        )
    specs, admin = _specs(settings, receiver), connect_admin(settings)
    created = create_missing(admin, specs)
    for name in created:
        typer.echo(f"created {name}")
    typer.echo(f"{len(created)} created, {len(specs) - len(created)} were there")


@topics.command()
def check(receiver: Receivers = None, as_json: AsJson = False) -> None:
    """Compare the topics in Kafka with the plan; ends with 1 when they differ.

    Without --receiver these are the topics of the installation and those made for its receivers. What is better than
    planned (more replicas, longer retention, larger messages) is no difference.
    """
    from app.kafka.client import connect_admin
    from app.kafka.plan import differences, find_topics

    settings = _settings()
    specs, admin = _specs(settings, receiver), connect_admin(settings)
    found = find_topics(admin, [spec.name for spec in specs])
    if not receiver:
        more = _made_for_receivers(settings, set(found))
        specs, found = [*specs, *more], {**found, **find_topics(admin, [spec.name for spec in more])}
    differing = differences(settings, specs, found)
    if as_json:
        typer.echo(json.dumps([asdict(difference) for difference in differing], indent=2))
    else:
        for difference in differing:
            typer.echo(f"{difference.topic}: {difference.text}")
    if differing:
        raise typer.Exit(1)
    if not as_json:
        typer.echo("The topic is as planned." if len(specs) == 1 else f"All {len(specs)} topics are as planned.")


@topics.command()
def export(
    format_: Annotated[TopicFormat, typer.Option("--format", help="For which tool.")],
    receiver: Receivers = None,
    cluster: Cluster = "kafka",
    api: ApiVersion = "v1",
    command_config: CommandConfig = None,
    schemas: Annotated[
        str, typer.Option(help="asyncapi: where the Avro schemas are, as seen from the document.")
    ] = "../schemas",
) -> None:
    """Print the planned topics for the tool that makes your topics, or as an AsyncAPI document, without asking Kafka.

    Try: `streams topics export --format strimzi --receiver 1234/clicks | kubectl apply -f -`
    """
    from app.kafka.formats import asyncapi, markdown, scripts, strimzi, terraform

    settings = load_settings()
    specs = _specs(settings, receiver)
    if format_ is TopicFormat.ASYNCAPI and receiver:
        raise ConfigurationError("--format asyncapi describes all topics together: leave --receiver out.")
    text = {
        TopicFormat.STRIMZI: lambda: strimzi.topics(specs, cluster, api),
        TopicFormat.TERRAFORM: lambda: terraform.topics(specs),
        TopicFormat.KAFKA_TOPICS: lambda: scripts.topics(specs, settings.kafka_bootstrap_servers, command_config),
        TopicFormat.MARKDOWN: lambda: markdown.topics(specs),
        TopicFormat.ASYNCAPI: lambda: asyncapi.document(settings, schemas),
    }[format_]()
    typer.echo(text, nl=False)


@topics.command()
def acls(
    format_: Annotated[AclFormat, typer.Option("--format", help="For people, or for which tool.")] = AclFormat.TABLE,
    process: Annotated[
        list[str] | None,
        typer.Option(help="Only of gateway, control, mapper, sink, or cli (`streams topics`).", show_default=False),
    ] = None,
    principal: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[PROCESS=]PRINCIPAL",
            help="Who it is, such as User:streams for all or gateway=User:CN=gateway for one. "
            "Otherwise User:<prefix>-<process>.",
            show_default=False,
        ),
    ] = None,
    existing: Annotated[
        list[str] | None,
        typer.Option(
            help="A topic of your own that receivers are bound to, or a pattern: `shop.*` for all that begin so, `*` "
            "for all there are. Of one with a wildcard in its middle the beginning is allowed.",
            show_default=False,
        ),
    ] = None,
    cluster: Cluster = "kafka",
    api: ApiVersion = "v1",
    command_config: CommandConfig = None,
) -> None:
    """Print what each process must be allowed in Kafka, and no more, without asking Kafka.

    Try: `streams topics acls --format kafka-acls`
    """
    from app.kafka.formats import markdown, scripts, strimzi, terraform

    settings = load_settings()
    allowed = _allowed(settings, process or (), principal or (), existing or ())
    if format_ is AclFormat.TABLE:
        Console().print(_acl_table(allowed))
        return
    text = {
        AclFormat.JSON: lambda: _acl_json(allowed),
        AclFormat.STRIMZI: lambda: strimzi.users(allowed, cluster, api),
        AclFormat.TERRAFORM: lambda: terraform.acls(allowed),
        AclFormat.KAFKA_ACLS: lambda: scripts.acls(allowed, settings.kafka_bootstrap_servers, command_config),
        AclFormat.MARKDOWN: lambda: markdown.acls(allowed),
    }[format_]()
    typer.echo(text, nl=False)


def _acl_json(allowed: Mapping[str, Sequence[Acl]]) -> str:
    rows = [{"principal": who, **asdict(acl)} for who, some in allowed.items() for acl in some]
    return json.dumps(rows, indent=2) + "\n"


def _acl_table(allowed: Mapping[str, Sequence[Acl]]) -> Table:
    heads = "principal", "resource", "operation", Column("why", overflow="fold")
    table = Table(*heads, box=None, header_style="bold")
    for who, some in allowed.items():
        for acl in some:
            name = f"{acl.resource.value} {acl.name}{'*' if acl.prefixed else ''}"
            table.add_row(who, name, acl.operation.value, acl.why)
    return table


def _allowed(
    settings: Settings, processes: Sequence[str], principals: Sequence[str], existing: Sequence[str]
) -> dict[str, list[Acl]]:
    """By principal. Raises ConfigurationError for a process that there is not, or a pattern that Kafka cannot allow."""
    from app.kafka.acls import acls as acls_of
    from app.kafka.plan import Process

    known = [process.value for process in Process]
    named = {}
    everybody = None
    for text in principals:
        process, equals, name = text.partition("=")
        if equals and ":" not in process:  # there is one in a principal, such as User:CN=streams
            named[process] = name
        else:
            everybody = text
    if unknown := [process for process in (*processes, *named) if process not in known]:
        raise ConfigurationError(f"There is no process {', '.join(unknown)}: there are {', '.join(known)}.")
    found: dict[str, list[Acl]] = {}
    for process in Process:
        if not processes or process in processes:
            who = named.get(process, everybody or f"User:{settings.topic_prefix}-{process}")
            found.setdefault(who, []).extend(acls_of(settings, process, existing))
    return found


def _specs(settings: Settings, receivers: Sequence[str] | None) -> list[TopicSpec]:
    """The topics of these receivers; without one those of the installation. Raises ConfigurationError."""
    from app.kafka.names import Names
    from app.kafka.plan import receiver_topic, system_topics

    if not receivers:
        return system_topics(settings)
    specs = []
    for text in receivers:
        project_id, slash, receiver_id = text.partition("/")
        if not (slash and project_id.isdigit() and re.fullmatch(ID_PATTERN, receiver_id)):
            raise ConfigurationError(
                f'"{text}" is no receiver: write PROJECT/RECEIVER, such as 1234/clicks; the second is 1 to 48 of a-z, '
                "0-9 and dashes between them."
            )
        specs.append(receiver_topic(settings, Names(settings.topic_prefix).events(project_id, receiver_id)))
    return specs


def _made_for_receivers(settings: Settings, there: set[str]) -> list[TopicSpec]:
    """The topics made for the receivers that there are; none without the control log."""
    import asyncio

    from app.kafka.names import Names
    from app.kafka.plan import made_receiver_topics
    from app.kafka.view import ControlView
    from app.model.receiver import Receiver

    async def receivers() -> list[Receiver]:
        async with ControlView(settings) as view:
            return list(view.catalog.receivers.values())

    if Names(settings.topic_prefix).control not in there:
        return []
    return made_receiver_topics(settings, asyncio.run(receivers()))


def _settings() -> Settings:
    """With the Kafka of the local stack that runs, where none is named."""
    from app.local.state import running_stack

    settings = load_settings()
    if "kafka_bootstrap_servers" in settings.model_fields_set:
        return settings
    stack = running_stack(settings.local_dir)
    broker = stack.address_of("kafka") if stack else None
    return settings.model_copy(update={"kafka_bootstrap_servers": broker}) if broker else settings
