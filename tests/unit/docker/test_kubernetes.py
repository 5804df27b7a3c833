"""deploy/kubernetes against Kubernetes' schemas, and against the settings, ports, paths and topics of the program."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.kafka.formats import strimzi
from app.kafka.plan import system_topics
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy/kubernetes"
PROCESSES = ["gateway", "control", "mapper", "sink"]
VERSIONS = ["1.29", "1.37"]
"""The oldest and the newest release whose schemas the manifests are held to."""
TOPIC_FIELDS = {"topicName", "partitions", "replicas", "config"}
"""Strimzi's API reference, KafkaTopicSpec: all the fields that there are."""


@functools.cache
def documents() -> list[dict[str, Any]]:
    return [found for file in sorted(FOLDER.rglob("*.yaml")) for found in yaml.safe_load_all(file.read_text())]


def ours(kind: str) -> dict[str, dict[str, Any]]:
    return {found["metadata"]["name"]: found for found in documents() if found["kind"] == kind}


def spec_of(process: str) -> dict[str, Any]:
    found: dict[str, Any] = ours("Deployment")[f"data-streams-{process}"]["spec"]["template"]["spec"]
    return found


def container_of(process: str) -> dict[str, Any]:
    (found,) = spec_of(process)["containers"]
    return dict(found)


def mib(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]  # else it fails here
    return int(number) * {"Mi": 1, "Gi": 1024}[unit]


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_what_kubernetes_takes_without_an_unknown_field(version: str) -> None:
    plain = [found for found in documents() if found["kind"] != "KafkaTopic"]

    validated = [kubernetes_validate.validate(found, version, strict=True) for found in plain]

    assert validated == [version] * len(plain)


def test_every_kind_that_an_installation_needs_is_there() -> None:
    assert {found["kind"] for found in documents()} == {
        "ConfigMap",
        "Deployment",
        "KafkaTopic",
        "PodDisruptionBudget",
        "Secret",
        "Service",
    }


def test_topics_are_the_plan_as_the_command_line_renders_it() -> None:
    said = (FOLDER / "topics.yaml").read_text()
    planned = Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own argument
        replication_factor=3,
        rows_partitions=12,
        command_partitions=4,
        dead_letter_partitions=4,
    )

    assert said[said.index("---\n") :] == strimzi.topics(system_topics(planned), "kafka")


def test_topics_have_the_fields_that_strimzi_documents() -> None:
    for topic in ours("KafkaTopic").values():
        assert topic["apiVersion"] == "kafka.strimzi.io/v1"
        assert set(topic["metadata"]["labels"]) == {"strimzi.io/cluster"}
        assert set(topic["spec"]) <= TOPIC_FIELDS
        assert all(isinstance(value, str | int) for value in topic["spec"]["config"].values())


def test_topics_have_the_replicas_that_processes_expect() -> None:
    told = ours("ConfigMap")["data-streams"]["data"]["STREAMS_REPLICATION_FACTOR"]

    assert {str(topic["spec"]["replicas"]) for topic in ours("KafkaTopic").values()} == {told}


def test_processes_find_the_cluster_whose_topics_these_are() -> None:
    (cluster,) = {topic["metadata"]["labels"]["strimzi.io/cluster"] for topic in ours("KafkaTopic").values()}

    told = ours("ConfigMap")["data-streams"]["data"]["STREAMS_KAFKA_BOOTSTRAP_SERVERS"]

    assert told == f"{cluster}-kafka-bootstrap:9092"


def test_every_setting_that_is_named_exists() -> None:
    text = "".join(file.read_text() for file in FOLDER.rglob("*.yaml"))
    known = {f"STREAMS_{name.upper()}" for name in Settings.model_fields}

    named = set(re.findall(r"STREAMS_[A-Z0-9_]*[A-Z0-9]\b(?!_)", text)) - {"STREAMS_KAFKA"}

    assert len(named) >= 6
    assert named <= known


@pytest.mark.parametrize("process", PROCESSES)
def test_process_is_told_the_settings_and_the_secret(process: str) -> None:
    sources = container_of(process)["envFrom"]

    assert container_of(process)["args"] == [process]
    assert {source["configMapRef"]["name"] for source in sources if "configMapRef" in source} == set(ours("ConfigMap"))
    assert {source["secretRef"]["name"] for source in sources if "secretRef" in source} == set(ours("Secret"))


@pytest.mark.parametrize("process", PROCESSES)
def test_probes_ask_the_port_and_the_paths_that_the_process_has(process: str) -> None:
    container = container_of(process)
    guide = (ROOT / "docs/watching.md").read_text()
    row = re.search(rf"^\| {process} \| .*\((\d+)\) \| `(\S+)` \| `(\S+)` \|", guide, re.MULTILINE)
    assert row is not None

    asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}

    assert container["ports"] == [{"name": "http", "containerPort": Settings.model_fields[f"{process}_port"].default}]
    assert container["ports"][0]["containerPort"] == int(row[1])
    assert {get["port"] for get in asked.values()} == {"http"}
    assert asked["startup"]["path"] == asked["liveness"]["path"] == row[2]
    assert asked["readiness"]["path"] == row[3]


@pytest.mark.parametrize("process", PROCESSES)
def test_process_has_time_to_stop_by_itself(process: str) -> None:
    graceful = Settings.model_fields["graceful_stop_seconds"].default
    before_stop = (
        container_of(process).get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["", "0"])
    )

    # A gateway may take it twice: for requests under way, and then for Kafka.
    assert spec_of(process)["terminationGracePeriodSeconds"] > 2 * graceful + int(before_stop[1])


@pytest.mark.parametrize("process", PROCESSES)
def test_variables_of_services_do_not_become_settings_of_kafka(process: str) -> None:
    assert spec_of(process)["enableServiceLinks"] is False


@pytest.mark.parametrize("process", PROCESSES)
def test_process_runs_as_the_user_of_the_image(process: str) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()

    security = spec_of(process)["securityContext"]

    assert security["runAsNonRoot"] is True
    assert f"--uid {security['runAsUser']} " in dockerfile
    assert f"USER {security['runAsUser']}\n" in dockerfile


@pytest.mark.parametrize("process", PROCESSES)
def test_process_asks_for_what_it_needs_and_has_a_limit_of_memory(process: str) -> None:
    resources = container_of(process)["resources"]

    assert set(resources["requests"]) == {"cpu", "memory"}
    assert mib(resources["requests"]["memory"]) <= mib(resources["limits"]["memory"])


def test_mapper_may_have_the_memory_that_its_children_may_take() -> None:
    container = container_of("mapper")
    (children,) = [int(one["value"]) for one in container["env"] if one["name"] == "STREAMS_MAPPING_CHILDREN"]

    assert mib(container["resources"]["limits"]["memory"]) >= 240 + children * 512


@pytest.mark.parametrize("kind", ["Deployment", "PodDisruptionBudget", "Service"])
def test_selectors_find_the_pods_of_their_process_alone(kind: str) -> None:
    pods = {name: found["spec"]["template"]["metadata"]["labels"] for name, found in ours("Deployment").items()}

    for name, found in ours(kind).items():
        selector = found["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        assert [pod for pod, labels in pods.items() if wanted.items() <= labels.items()] == [name]


def test_a_pod_of_each_process_may_be_away_at_a_time() -> None:
    budgets = ours("PodDisruptionBudget")

    assert set(budgets) == set(ours("Deployment")) == {f"data-streams-{process}" for process in PROCESSES}
    assert {budget["spec"]["maxUnavailable"] for budget in budgets.values()} == {1}
    assert {found["spec"]["replicas"] for found in ours("Deployment").values()} == {2}


def test_applying_the_folder_leaves_the_secret_alone() -> None:
    applied = [found for file in FOLDER.glob("*.yaml") for found in yaml.safe_load_all(file.read_text())]

    assert "Secret" not in {found["kind"] for found in applied}
    assert "Secret" in {found["kind"] for found in documents()}
