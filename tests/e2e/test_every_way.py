"""The same events sent in every way there is, over HTTP and past it, give the same rows, each once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from backports import zstd
from confluent_kafka import Producer
from connect_traffic import make_topic
from connect_worker import SINK_JAR, ConnectWorker, committed
from console_producer import produce_lines

from app.kafka.names import Names
from app.model.connect import Destination, SinkKind, SinkRoute, sink_config

pytestmark = pytest.mark.long

EVENTS, A_REQUEST, PARTITIONS = 20_000, 500, 4
CONNECTIONS = 8
JSON = {"Content-Type": "application/json"}
ANSWER_SECONDS, THROUGH_SECONDS = 300, 1_200
NAMES = (
    "Žofie",
    "Li 李",
    'a "quoted" one',
    "two\nlines",
    "two\r\nmore",
    "tab\tand \\",
    "😀",
    "",
    "a\u2028b\u0085c",
    "x",
)
"""What HTTP, lines of text or CSV might treat as something else than what it is."""
PATHS = {"n": "n", "customer": "customer", "amount": "amount", "big": "big"}
TEMPLATES = {"doubled": 'Body("n") * 2', "tag": 'Body("customer.tags[3].deep")', "length": "std.length(BodyStr())"}
COMPARED = ("body", *PATHS, "name", "small", *TEMPLATES)
NUMBER = COMPARED.index("n")
Headers = dict[str, str]
Row = tuple[str, ...]


@dataclass(frozen=True)
class Event:
    """One event: its text, a JSON object in one line, and its row without the id."""

    text: str
    row: Row


def event(number: int) -> Event:
    """Spaces, escapes and numbers are written in more than one way, to see that nobody writes them anew."""
    rest, place = divmod(number, len(NAMES))
    name = NAMES[place]
    customer = {"name": name, "tags": [number % 3, None, True, {"deep": [[number]]}]}
    amount, small, big = json.dumps(number / 7), f"{number}.50e-2", str(9_007_199_254_740_993 + number)
    comma, colon = separators = (",", ":") if rest % 2 else (", ", ": ")
    inner = json.dumps(customer, ensure_ascii=rest % 4 < 2, separators=separators)
    members = {"n": str(number), "customer": inner, "amount": amount, "big": big}
    if rest % 3:
        members["small"] = small
    text = "{" + comma.join(f'"{key}"{colon}{value}' for key, value in members.items()) + "}"
    compact = orjson.dumps(customer).decode().replace("\u0085", "\\u0085")  # as the API has it in cells
    found = (name, members.get("small", "none"), str(number * 2), f"[[{number}]]", str(len(text)))
    return Event(text, (text, str(number), compact, amount, big, *found))


def export(table: str) -> dict[str, Any]:
    paths = [{"name": name, "type": "path", "path": path} for name, path in PATHS.items()]
    raw = [
        {"name": "name", "type": "path", "path": "customer.name", "rawString": True},
        {"name": "small", "type": "path", "path": "small", "defaultValue": "none", "rawString": True},
    ]
    templates = [
        {"name": name, "type": "template", "template": {"language": "jsonnet", "content": content}}
        for name, content in TEMPLATES.items()
    ]
    columns = [{"name": "id", "type": "id", "primaryKey": True}, {"name": "body", "type": "body"}]
    return {
        "id": "all",
        "name": "All",
        "mapping": {"tableId": table, "columns": [*columns, *paths, *raw, *templates]},
        "conditions": {"count": EVENTS, "size": "50MB", "time": "2s"},
    }


@dataclass(frozen=True)
class Goal:
    """A receiver, as its senders know it."""

    system: Any
    url: str
    topic: str
    folder: Path


def together(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Those that share a request."""
    return (texts[start : start + A_REQUEST] for start in range(0, len(texts), A_REQUEST))


def post(url: str, requests: Iterable[tuple[bytes, Headers]]) -> None:
    """Each body with its headers, over several connections at a time; each must be taken."""
    place, waiting = urlsplit(url), list(requests)

    def send(some: Sequence[tuple[bytes, Headers]]) -> None:
        connection = HTTPConnection(place.netloc, timeout=ANSWER_SECONDS)
        for body, headers in some:
            connection.request("POST", place.path, body, headers)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
        connection.close()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(send, (waiting[first::CONNECTIONS] for first in range(CONNECTIONS))))


def single_requests(goal: Goal, texts: Sequence[str]) -> None:
    post(goal.url, ((text.encode(), JSON) for text in texts))


def arrays(goal: Goal, texts: Sequence[str]) -> None:
    post(goal.url, ((f"[{','.join(some)}]".encode(), JSON) for some in together(texts)))


def zstd_lines(goal: Goal, texts: Sequence[str]) -> None:
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "zstd"}
    post(goal.url, ((zstd.compress("\n".join(some).encode()), headers) for some in together(texts)))


def cloudevents(goal: Goal, texts: Sequence[str]) -> None:
    """Some in the structured mode, as many in the binary mode, the others batched."""
    attributes, kind = {"specversion": "1.0", "source": "/every/way", "type": "sent"}, "application/cloudevents"

    def structured(number: int) -> str:
        head = json.dumps({**attributes, "id": str(number), "datacontenttype": "application/json"})
        return f'{head.removesuffix("}")}, "data": {texts[number]}}}'

    def binary(number: int) -> tuple[bytes, Headers]:
        fields = {f"ce-{name}": value for name, value in attributes.items()}
        return texts[number].encode(), {**JSON, **fields, "ce-id": str(number)}

    first, second = A_REQUEST, 2 * A_REQUEST
    post(goal.url, ((structured(number).encode(), {"Content-Type": f"{kind}+json"}) for number in range(first)))
    post(goal.url, map(binary, range(first, second)))
    batches = together([structured(number) for number in range(second, len(texts))])
    post(goal.url, ((f"[{','.join(some)}]".encode(), {"Content-Type": f"{kind}-batch+json"}) for some in batches))


def plain_producer(goal: Goal, texts: Sequence[str]) -> None:
    produce(goal, goal.topic, texts)


def console_producer(goal: Goal, texts: Sequence[str]) -> None:
    produce_lines(goal.system.kafka, goal.topic, texts)


def connect_sink(goal: Goal, texts: Sequence[str]) -> None:
    settings, prefix = goal.system.settings, goal.system.prefix
    topic, dead, name = f"{prefix}-operators", f"{prefix}-dead", f"{prefix}-sink"
    make_topic(settings, topic, PARTITIONS)
    make_topic(settings, dead, 1)
    produce(goal, topic, texts, PARTITIONS)
    route = SinkRoute(name, (topic,), Destination(goal.url), dead, replication_factor=1)
    end = {(topic, partition): len(texts) // PARTITIONS for partition in range(PARTITIONS)}

    with ConnectWorker(goal.system.kafka, goal.folder / "worker", [SINK_JAR]) as worker:
        worker.put(name, sink_config(SinkKind.DATA_STREAMS, route))
        worker.wait_for(lambda: committed(settings, name) == end, "all to be committed")


def produce(goal: Goal, topic: str, texts: Sequence[str], partitions: int | None = None) -> None:
    """Records without keys and headers; evenly spread over `partitions` if they are said."""
    producer = Producer({"bootstrap.servers": goal.system.kafka, "linger.ms": 5, "enable.idempotence": True})
    for number, text in enumerate(texts):
        producer.produce(topic, text.encode(), partition=-1 if partitions is None else number % partitions)
        producer.poll(0)
    assert producer.flush(ANSWER_SECONDS) == 0


WAYS: dict[str, Callable[[Goal, Sequence[str]], None]] = {
    "single": single_requests,
    "arrays": arrays,
    "lines": zstd_lines,
    "cloudevents": cloudevents,
    "producer": plain_producer,
    "console": console_producer,
    "connect": connect_sink,
}


@pytest.fixture
def other_settings() -> dict[str, Any]:
    """A gateway on a busy machine is to be late, not to answer 503: not every way here can send an event again."""
    return {"view_staleness_seconds": 120, "acknowledge_seconds": 120}


async def test_every_way_gives_the_same_rows(system: Any, tmp_path: Path) -> None:
    await system.ready()
    bucket = f"in.c-{system.prefix}"
    events = [event(number) for number in range(EVENTS)]
    texts = [event.text for event in events]

    for name, send in WAYS.items():
        receiver = await system.create_receiver({"id": name, "name": name, "exports": [export(f"{bucket}.{name}")]})
        goal = Goal(system, receiver["url"], Names(system.prefix).events("1234", name), tmp_path)
        await asyncio.to_thread(send, goal, texts)
    for name in WAYS:

        async def in_the_table(table: str = f'"{bucket}"."{name}"') -> bool:
            return await asyncio.to_thread(count, system, table) >= EVENTS

        await system.until(in_the_table, f"as many rows as events by the way {name}", THROUGH_SECONDS)

    wanted = {event.row[NUMBER]: event.row for event in events}
    assert len(wanted) == EVENTS
    nothing = Differences(EVENTS, [], [], [])
    assert {name: differences(rows_in(system, f'"{bucket}"."{name}"'), wanted) for name in WAYS} == dict.fromkeys(
        WAYS, nothing
    )


def count(system: Any, table: str) -> int:
    try:
        return int(system.storage.sql(f"select count(*) from {table}")[0][0])
    except ValueError:  # there is no table yet
        return 0


def rows_in(system: Any, table: str) -> list[Row]:
    rows: list[Row] = system.storage.sql(f"select {', '.join(COMPARED)} from {table}")
    return rows


@dataclass(frozen=True)
class Differences:
    """Between a table and what should be in it: a few of each kind, for twenty thousand are no explanation."""

    rows: int
    missing: list[str]
    repeated: list[str]
    cells: list[dict[str, tuple[str, str | None]]]


def differences(found: Sequence[Row], wanted: dict[str, Row]) -> Differences:
    counts = Counter(row[NUMBER] for row in found)
    cells = [
        {name: (cell, should) for name, cell, should in zip(COMPARED, row, right, strict=True) if cell != should}
        for row in found
        if row != (right := wanted.get(row[NUMBER], (None,) * len(COMPARED)))
    ]
    missing = [number for number in wanted if number not in counts]
    return Differences(
        len(found), missing[:3], [number for number, times in counts.items() if times > 1][:3], cells[:3]
    )
