"""docker-compose.yml and Dockerfile against what they speak of: commands, settings, ports, files, set-up."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from app.cli import app
from app.kafka.plan import system_topics
from app.local.kafka.properties import MAX_MESSAGE_BYTES
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROCESSES = ["gateway", "control", "mapper", "sink"]


def steps(instruction: str) -> list[str]:
    """What follows an instruction of the Dockerfile, one string for each time it is there."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return [" ".join(line.split()[1:]) for line in joined.splitlines() if line.startswith(f"{instruction} ")]


def default_ports() -> dict[str, int]:
    return {name: Settings.model_fields[f"{name}_port"].default for name in [*PROCESSES, "storage", "storage_s3"]}


def test_all_parts_of_the_system_are_services_and_the_emulator_is_a_profile() -> None:
    assert set(SERVICES) == {"kafka", "storage", *PROCESSES}
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"storage"}
    assert SERVICES["storage"]["profiles"] == ["emulator"]


@pytest.mark.parametrize("name", PROCESSES)
def test_command_of_each_process_is_one_of_the_command_line(name: str) -> None:
    known = getattr(typer.main.get_command(app), "commands", {})

    assert SERVICES[name]["command"] == [name]
    assert name in known
    assert steps("ENTRYPOINT") == ['["streams"]']


def test_emulator_takes_the_options_that_its_service_gives() -> None:
    service = SERVICES["storage"]
    assert service["entrypoint"][0] == "python"

    asked = subprocess.run(
        [sys.executable, *service["entrypoint"][1:], *service["command"], "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert asked.returncode == 0, asked.stderr
    options = [word for word in service["command"] if word.startswith("--")]
    assert [option for option in options if option not in asked.stdout] == []


def test_every_setting_that_is_named_exists() -> None:
    text = (ROOT / "docker-compose.yml").read_text() + DOCKERFILE
    known = {f"STREAMS_{name.upper()}" for name in Settings.model_fields}

    named = set(re.findall(r"STREAMS_[A-Z0-9_]+", text))

    assert len(named) >= 6
    assert named <= known


@pytest.mark.parametrize("name", [*PROCESSES, "storage", "kafka"])
def test_every_service_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", [*PROCESSES, "storage"])
def test_health_checks_ask_the_ports_that_the_settings_have(name: str) -> None:
    check = SERVICES[name]["healthcheck"]["test"]

    asked = re.search(r"http://(127\.0\.0\.1|storage):(\d+)/", check[-1])

    assert asked is not None
    assert int(asked[2]) == default_ports()[name]
    compile(check[-1], "health check", "exec")


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert len(published) == 4
    assert [port for port in published if not re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)] == []


def test_volumes_that_are_used_are_declared() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}

    assert used == set(COMPOSE["volumes"])
    assert SERVICES["kafka"]["volumes"][0].split(":")[1] == SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"]


def test_kafka_is_the_official_image_of_the_local_brokers_version() -> None:
    pom = (ROOT / "app/local/kafka/pom.xml").read_text()
    version = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>(.*?)</version>", pom)

    assert version is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version[1]}"


def test_kafka_takes_messages_as_large_as_our_topics() -> None:
    environment = SERVICES["kafka"]["environment"]
    largest = {int(spec.config["max.message.bytes"]) for spec in system_topics(Settings(_env_file=None))}

    assert largest == {environment["KAFKA_MESSAGE_MAX_BYTES"]} == {MAX_MESSAGE_BYTES}


def test_processes_find_kafka_where_it_announces_itself() -> None:
    announced = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]

    for name in PROCESSES:
        assert f"INTERNAL://{SERVICES[name]['environment']['STREAMS_KAFKA_BOOTSTRAP_SERVERS']}" in announced
        assert SERVICES[name]["depends_on"]["kafka"]["condition"] == "service_healthy"


def test_image_is_made_by_the_makefiles_own_step_from_files_that_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    made = [step.removeprefix("make ") for step in steps("RUN") if step.startswith("make ")]
    copied = [source for step in steps("COPY") for source in step.split()[:-1]]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert made == ["environment"]
    assert set(made) <= set(targets)
    assert set(copied) == kept
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert "pip" not in DOCKERFILE
