"""Topics and ACLs as the tools of operators take them: each says the whole plan, in names that the tool allows."""

from __future__ import annotations

import doctest
import json
import re
import shlex
from typing import Any

import pytest
import yaml

from app.kafka.acls import Acl, Operation, Resource, acls
from app.kafka.formats import markdown, scripts, strimzi, terraform
from app.kafka.plan import Process, receiver_topic, system_topics
from app.kafka.topic_spec import TopicSpec
from app.settings import Settings

SETTINGS = Settings(_env_file=None, topics="managed")  # type: ignore[call-arg]  # pydantic-settings' own argument
SPECS = [*system_topics(SETTINGS), receiver_topic(SETTINGS, "streams.events.1234.clicks")]
ALLOWED = {f"User:{process}": acls(SETTINGS, process) for process in Process}
Said = tuple[str, int, int, dict[str, str]]


def planned() -> list[Said]:
    return [(spec.name, spec.partitions, spec.replication_factor, dict(spec.config)) for spec in SPECS]


def of_strimzi(text: str) -> list[Said]:
    documents = list(yaml.safe_load_all(text))
    assert {(d["apiVersion"], d["kind"]) for d in documents} == {("kafka.strimzi.io/v1", "KafkaTopic")}
    assert {d["metadata"]["labels"]["strimzi.io/cluster"] for d in documents} == {"the-cluster"}
    return [
        (
            d["spec"].get("topicName", d["metadata"]["name"]),
            d["spec"]["partitions"],
            d["spec"]["replicas"],
            {key: str(value) for key, value in d["spec"]["config"].items()},
        )
        for d in documents
    ]


def blocks(text: str, kind: str) -> list[dict[str, str]]:
    """The attributes of each Terraform resource of this kind; those of `config` under their own names."""
    found = []
    for block in re.findall(rf'resource "{kind}" "[A-Za-z_][A-Za-z0-9_-]*" {{\n(.*?)\n}}\n', text, re.DOTALL):
        pairs = re.findall(r'^ +"?([\w.]+)"? += ("[^"]*"|\d+)$', block, re.MULTILINE)
        found.append({key: str(json.loads(value)) for key, value in pairs})
    return found


def of_terraform(text: str) -> list[Said]:
    found = []
    for attributes in blocks(text, "kafka_topic"):
        name = attributes.pop("name")
        counts = int(attributes.pop("partitions")), int(attributes.pop("replication_factor"))
        found.append((name, *counts, {k: v for k, v in attributes.items() if "." in k}))
    return found


def of_scripts(text: str) -> list[Said]:
    found = []
    for line in text.splitlines():
        words = shlex.split(line)
        assert words[:5] == ["kafka-topics.sh", "--bootstrap-server", "broker:9092", "--create", "--if-not-exists"]
        options = list(zip(words[5::2], words[6::2], strict=True))
        once = dict(options)
        config = dict(value.split("=", 1) for name, value in options if name == "--config")
        found.append((once["--topic"], int(once["--partitions"]), int(once["--replication-factor"]), config))
    return found


@pytest.mark.parametrize(
    "said",
    [
        lambda: of_strimzi(strimzi.topics(SPECS, "the-cluster")),
        lambda: of_terraform(terraform.topics(SPECS)),
        lambda: of_scripts(scripts.topics(SPECS, "broker:9092")),
    ],
    ids=["strimzi", "terraform", "kafka-topics"],
)
def test_each_tool_is_told_the_whole_plan(said: Any) -> None:
    assert said() == planned()


def test_name_that_kubernetes_does_not_take_is_the_topics_own_beside_it() -> None:
    specs = [TopicSpec(name, 1, 1) for name in ("My_Streams.rows", "my-streams.rows", "my_streams.rows")]

    documents = list(yaml.safe_load_all(strimzi.topics(specs, "kafka")))

    names = [document["metadata"]["name"] for document in documents]
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name) for name in names)
    assert [d["spec"].get("topicName") for d in documents] == ["My_Streams.rows", None, "my_streams.rows"]


def said_by_strimzi() -> set[tuple[str, str, str, bool, str]]:
    return {
        (
            f"User:{user['metadata']['name']}",
            {"transactionalId": "transactional-id"}.get(rule["resource"]["type"], rule["resource"]["type"]),
            rule["resource"]["name"],
            rule["resource"]["patternType"] == "prefix",
            operation,
        )
        for user in yaml.safe_load_all(strimzi.users(ALLOWED, "kafka"))
        for rule in user["spec"]["authorization"]["acls"]
        for operation in rule["operations"]
    }


def said_by_terraform() -> set[tuple[str, str, str, bool, str]]:
    kinds = {"Topic": "topic", "Group": "group", "TransactionalID": "transactional-id"}
    return {
        (
            block["acl_principal"],
            kinds[block["resource_type"]],
            block["resource_name"],
            block["resource_pattern_type_filter"] == "Prefixed",
            block["acl_operation"],
        )
        for block in blocks(terraform.acls(ALLOWED), "kafka_acl")
    }


def said_by_scripts() -> set[tuple[str, str, str, bool, str]]:
    found = set()
    for line in scripts.acls(ALLOWED, "broker:9092", "client.properties").splitlines():
        words = shlex.split(line)
        assert words[3:6] == ["--command-config", "client.properties", "--add"]
        options = list(zip(words[6::2], words[7::2], strict=True))
        once = dict(options)
        (kind,) = {"--topic", "--group", "--transactional-id"} & once.keys()
        prefixed = once["--resource-pattern-type"] == "prefixed"
        who, name = once["--allow-principal"], once[kind]
        found |= {(who, kind[2:], name, prefixed, value) for option, value in options if option == "--operation"}
    return found


@pytest.mark.parametrize("said", [said_by_strimzi, said_by_terraform, said_by_scripts])
def test_each_tool_is_told_all_that_is_allowed(said: Any) -> None:
    assert said() == {
        (who, acl.resource.value, acl.name, acl.prefixed, acl.operation.value)
        for who, some in ALLOWED.items()
        for acl in some
    }


def test_terraform_reads_no_template_into_a_name() -> None:
    text = terraform.acls({"User:${x}": [Acl(Resource.TOPIC, "%{y}", False, Operation.READ, "")]})

    assert '"User:$${x}"' in text
    assert '"%%{y}"' in text


def test_tables_have_a_row_for_each() -> None:
    assert markdown.topics(SPECS).count("\n") == len(SPECS) + 2
    assert markdown.acls(ALLOWED).count("\n") == sum(map(len, ALLOWED.values())) + 2


@pytest.mark.parametrize("module", [strimzi, terraform], ids=lambda module: module.__name__)
def test_examples_of_names_are_true(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
