"""The guide to watching, the dashboard and the alerts against what the processes really export."""

from __future__ import annotations

import json
import re
from collections import Counter as Count
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry

import app.control.observe
import app.mapper.metrics
from app.gateway import metrics as gateway_metrics
from app.kafka.consumer_metrics import OTHERS, ConsumerCollector
from app.kafka.faust import Partition
from app.kafka.lag import FOREVER, Lag, Lags
from app.settings import Settings
from app.sink.levels import Levels, Trouble
from app.sink.observe import Counters, SinkCollector

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/watching.md").read_text()
ALERTS: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
SCRAPES: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/data-streams.json").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OURS = ("streams_", "process_", "python_")


def watch_of(*lags: Lag, most_topics: int = 100) -> Any:
    found = Lags(lags, 60.0, 5.0, 1.0)
    return SimpleNamespace(lags=found, most_topics=most_topics, look_age_seconds=1.0, why_not_ready=lambda: None)


def consumer_samples(watch: Any, *, by_partition: bool) -> dict[tuple[str, ...], float]:
    families = ConsumerCollector(watch, by_partition=by_partition).collect()
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def exported() -> set[str]:
    """Names of all series of all processes, as Prometheus has them (`_bucket` and `_count` of histograms apart)."""
    levels = Levels(1, 1, 1, 1, 1, 1, 1.0, 1.0, 1, Count(open=1), (("1/r/e", Trouble.PARKED),))
    registry = CollectorRegistry()
    registry.register(SinkCollector(Counters(dead_letters=Count(["x"])), lambda: levels))
    gateway = CollectorRegistry()
    counters = gateway_metrics.Counters(refused=Count([404]), validations=Count([200]), unproven=Count(["x"]))
    gateway.register(
        gateway_metrics.GatewayCollector(counters, lambda: gateway_metrics.Levels(1, 1, 1.0), lambda: True)
    )
    consumer = CollectorRegistry()
    consumer.register(ConsumerCollector(watch_of(Lag(Partition("t", 0), 1, 1.0)), by_partition=False))
    children = CollectorRegistry()
    children.register(app.mapper.metrics.ChildrenCollector(list))
    return {
        family.name + ("_total" if family.type == "counter" else "")
        for source in (registry, gateway, consumer, children, REGISTRY)
        for family in source.collect()
        if family.name.startswith(OURS) and not family.name.startswith("streams_test_")
    }


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m").replace("$job", "x")


def series_of(expression: str) -> set[str]:
    """Names of the series that an expression reads."""
    parsed = promql_parser.parse(expression)
    return set(re.findall(r"\b(?:streams|process|python)_\w+", str(parsed)))


def test_every_metric_is_in_the_guide_and_the_guide_has_no_other() -> None:
    documented = set(re.findall(r"^\| `((?:streams|process|python)_\w+)`", GUIDE, re.MULTILINE))

    assert documented == exported()


def test_every_alert_is_in_the_guide_with_what_to_do_and_the_guide_has_no_other() -> None:
    documented = dict(re.findall(r"^\| `([A-Z]\w+)` \|.*\| (\S.*) \|$", GUIDE, re.MULTILINE))

    assert set(documented) == {rule["alert"] for rule in RULES}


def test_every_setting_that_the_guide_names_exists() -> None:
    named = set(re.findall(r"`STREAMS_([A-Z_]+)", GUIDE))

    assert {name.lower() for name in named} <= set(Settings.model_fields)


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_expression_is_promql_on_series_that_exist(where: str, expression: str) -> None:
    known = exported()

    asked = {re.sub(r"_(bucket|count|sum)$", "", name) for name in series_of(expression)}

    assert asked <= known | {name.removesuffix("_total") for name in known}
    assert asked or re.search(r"\bup\b|ALERTS", expression), where


def test_every_alert_says_what_it_means_and_where_to_read_on() -> None:
    for rule in RULES:
        assert set(rule["annotations"]) == {"summary", "runbook"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["runbook"] == "docs/watching.md#alerts"


def test_prometheus_asks_the_ports_that_the_processes_have_and_takes_the_alerts() -> None:
    asked = {job["job_name"]: job["static_configs"][0]["targets"][0] for job in SCRAPES["scrape_configs"]}
    ports = {name: Settings.model_fields[f"{name}_port"].default for name in ("gateway", "control", "mapper", "sink")}

    assert asked == {name: f"{name}:{port}" for name, port in ports.items()}
    assert SCRAPES["rule_files"] == ["alerts.yml"]


def test_panels_do_not_overlap_and_have_numbers_of_their_own() -> None:
    taken = Count(
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    )

    assert max(taken.values()) == 1
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_topics_are_named_up_to_a_bound_those_that_retention_takes_first_and_the_others_are_summed() -> None:
    lags = [
        Lag(Partition("big", 0), 900, FOREVER),
        Lag(Partition("late", 0), 1, 50.0),
        Lag(Partition("late", 1), 2, 40.0),
        Lag(Partition("small", 0), 3, 90_000.0),
        Lag(Partition("idle", 0), 0, FOREVER),
    ]

    found = consumer_samples(watch_of(*lags, most_topics=1), by_partition=False)

    assert {name: value for name, value in found.items() if name[0] == "streams_consumer_lag_records"} == {
        ("streams_consumer_lag_records", "late", ""): 3,
        ("streams_consumer_lag_records", OTHERS, ""): 903,
    }
    assert found["streams_consumer_retention_left_seconds", "late", ""] == 40
    assert found["streams_retention_left_seconds", "consumer"] == 40
    assert found["streams_retention_left_seconds", "parked"] == 60


def test_partitions_of_one_topic_are_shown_each() -> None:
    lags = [Lag(Partition("rows", 0), 0, FOREVER), Lag(Partition("rows", 1), 7, 9.0)]

    found = consumer_samples(watch_of(*lags), by_partition=True)

    assert found["streams_consumer_lag_records", "rows", "0"] == 0
    assert found["streams_consumer_retention_left_seconds", "rows", "0"] == FOREVER
    assert found["streams_consumer_lag_records", "rows", "1"] == 7
    assert ("streams_consumer_lag_records", OTHERS, "") not in found
