"""What set-up installs: exact versions, from wherever the machine's package index is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def packages(name: str) -> list[str]:
    return [
        line for line in (ROOT / name).read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-demo.lock"])
def test_every_line_of_a_lock_is_pinned_exactly_and_none_has_an_address(name: str) -> None:
    lines = packages(name)

    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.]+( ; .+)?", line), line
    assert "://" not in (ROOT / name).read_text()


def test_lock_holds_every_direct_dependency_as_the_project_names_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = [
        *project["dependencies"],
        *project["optional-dependencies"]["local"],
        *project["optional-dependencies"]["dev"],
    ]
    locked = {line.split(" ;")[0] for line in packages("requirements.lock")}

    for requirement in direct:
        name, version = requirement.split("==")
        bare = re.sub(r"\[.*\]", "", name).lower().replace("_", "-")
        assert f"{bare}=={version}" in locked


@pytest.mark.parametrize(
    "pom",
    [
        "app/local/kafka/pom.xml",
        "connectors/camel/pom.xml",
        "connectors/data-streams-sink/pom.xml",
        "connectors/worker/pom.xml",
    ],
)
def test_jars_have_exact_versions_and_no_address(pom: str) -> None:
    text = (ROOT / pom).read_text()

    versions = re.findall(r"<version>(.*?)</version>", text)

    assert versions
    assert all(re.fullmatch(r"[0-9.]+", version) for version in versions)
    assert re.findall(r"://[^/]+", text.replace("http://maven.apache.org/POM/4.0.0", "")) == []


def test_jars_of_broker_worker_and_sink_are_of_one_kafka() -> None:
    poms = ["app/local/kafka/pom.xml", "connectors/data-streams-sink/pom.xml", "connectors/worker/pom.xml"]

    kafka = {
        version
        for pom in poms
        for version in re.findall(
            r"<groupId>org.apache.kafka</groupId>\s*<artifactId>.*?</artifactId>\s*<version>(.*?)</version>",
            (ROOT / pom).read_text(),
        )
    }

    assert kafka == {"4.1.0"}
