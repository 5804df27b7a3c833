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
ENV_EXAMPLE = (ROOT / ".env.example").read_text()
SINK = ROOT / "connectors/data-streams-sink"
PROCESSES = ["gateway", "control", "mapper", "sink"]
PROFILES = {"storage": "emulator", "connect": "connect", "prometheus": "watching", "grafana": "watching"}


def steps(instruction: str) -> list[str]:
    """What follows an instruction of the Dockerfile, one string for each time it is there."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return [" ".join(line.split()[1:]) for line in joined.splitlines() if line.startswith(f"{instruction} ")]


def default_ports() -> dict[str, int]:
    return {name: Settings.model_fields[f"{name}_port"].default for name in [*PROCESSES, "storage", "storage_s3"]}


def kafka_version() -> str:
    """Of the local stack's broker."""
    pom = (ROOT / "app/local/kafka/pom.xml").read_text()
    version = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>(.*?)</version>", pom)
    assert version is not None
    return version[1]


def mounts(service: str) -> dict[str, str]:
    """What is mounted from this repository: the path in the container, and the path here."""
    volumes = [volume.split(":") for volume in SERVICES[service].get("volumes", [])]
    return {volume[1]: volume[0] for volume in volumes if volume[0].startswith("./")}


def memory_mib(name: str) -> int:
    limit = SERVICES[name]["deploy"]["resources"]["limits"]["memory"]
    return int(limit[:-1]) * {"M": 1, "G": 1024}[limit[-1]]


def test_all_parts_of_the_system_are_services_and_what_not_everybody_needs_is_a_profile() -> None:
    assert set(SERVICES) == {"kafka", *PROCESSES, *PROFILES}
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        name: [profile] for name, profile in PROFILES.items()
    }


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_started_again_and_has_limits(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert set(SERVICES[name]["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert SERVICES[name]["logging"]["options"] == {"max-size": "20m", "max-file": "5"}


@pytest.mark.parametrize("name", PROCESSES)
def test_process_has_time_to_stop_by_itself(name: str) -> None:
    grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))

    # A gateway may take it twice: for requests under way, and then for Kafka.
    assert grace > 2 * Settings.model_fields["graceful_stop_seconds"].default


def test_mapper_may_have_the_memory_that_its_children_may_take() -> None:
    told = SERVICES["mapper"]["environment"]["STREAMS_MAPPING_CHILDREN"]
    children = re.fullmatch(r"\$\{STREAMS_MAPPING_CHILDREN:-(\d+)\}", told)

    assert children is not None
    assert memory_mib("mapper") >= 240 + int(children[1]) * Settings.model_fields["mapping_memory_mib"].default


@pytest.mark.parametrize("name", PROCESSES)
def test_processes_are_told_the_same(name: str) -> None:
    own = {"STREAMS_MAPPING_CHILDREN"}
    said = {key: value for key, value in SERVICES[name]["environment"].items() if key not in own}

    assert said == COMPOSE["x-environment"]


def test_example_of_env_documents_all_that_is_taken_from_it_and_nothing_else() -> None:
    passed_on = {
        key for service in SERVICES.values() for key, value in service.get("environment", {}).items() if value is None
    }
    filled_in = set(re.findall(r"\$\{([A-Z0-9_]+)", (ROOT / "docker-compose.yml").read_text()))

    documented = re.findall(r"^#?([A-Z0-9_]+)=", ENV_EXAMPLE, re.MULTILINE)

    assert sorted(documented) == sorted(passed_on | filled_in)


def test_example_of_env_shows_the_defaults() -> None:
    own = {"STREAMS_MAPPING_CHILDREN": "2", "GRAFANA_ADMIN_PASSWORD": "admin"}
    shown = dict(re.findall(r"^#([A-Z0-9_]+)=(.*)$", ENV_EXAMPLE, re.MULTILINE))
    defaults = {f"STREAMS_{name.upper()}": field.default for name, field in Settings.model_fields.items()}

    for name, value in shown.items():
        default = own[name] if name in own else defaults.get(name)
        said = (
            ""
            if str(default) in {"None", "PydanticUndefined"}
            else f"{default:g}"
            if isinstance(default, float)
            else str(default)
        )
        assert value == said, name


def test_example_of_env_can_be_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(ENV_EXAMPLE)

    assert Settings(_env_file=tmp_path / ".env").encryption_key == []  # type: ignore[call-arg]  # pydantic-settings'


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


@pytest.mark.parametrize("name", SERVICES)
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

    assert len(published) == 7
    assert [port for port in published if not re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)] == []


def test_volumes_that_are_used_are_declared() -> None:
    sources = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    used = {source for source in sources if not source.startswith("./")}

    assert used == set(COMPOSE["volumes"])
    assert SERVICES["kafka"]["volumes"][0].split(":")[1] == SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"]


@pytest.mark.parametrize("name", SERVICES)
def test_files_that_are_mounted_are_there_and_cannot_be_written(name: str) -> None:
    volumes = [volume for volume in SERVICES[name].get("volumes", []) if volume.startswith("./")]

    assert [source for source in mounts(name).values() if not (ROOT / source).exists()] == []
    assert [volume for volume in volumes if not volume.endswith(":ro")] == []


def test_kafka_is_the_official_image_of_the_local_brokers_version() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_connect_is_a_worker_of_the_same_version_with_the_sink_that_is_built_from_its_folder() -> None:
    text = (SINK / "Dockerfile").read_text()
    copied = {
        source for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for source in line.split()[:-1]
    }
    kept = {line[1:] for line in (SINK / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    jar = re.search(r"<finalName>(.*?)</finalName>", (SINK / "pom.xml").read_text())
    assert jar is not None

    assert ROOT / SERVICES["connect"]["build"] == SINK
    assert f"\nFROM apache/kafka:{kafka_version()}\n" in text
    assert copied == kept
    assert [source for source in copied if not (SINK / source).exists()] == []
    assert f"/target/{jar[1]}.jar " in text


def test_connect_worker_finds_kafka_its_plug_ins_and_its_file() -> None:
    text = (SINK / "Dockerfile").read_text()
    (place,) = mounts("connect")
    lines = (ROOT / mounts("connect")[place]).read_text().splitlines()
    worker = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    assert f'CMD ["{place}"]' in text
    assert f".jar {worker['plugin.path']}/\n" in text
    assert worker["bootstrap.servers"] == COMPOSE["x-environment"]["STREAMS_KAFKA_BOOTSTRAP_SERVERS"]
    assert worker["listeners"].endswith(":8083")
    assert worker["rest.advertised.host.name"] in SERVICES
    assert {key: value for key, value in worker.items() if key.endswith("replication.factor")} == {
        f"{topic}.storage.replication.factor": "1" for topic in ("config", "offset", "status")
    }


def test_prometheus_reads_our_configuration() -> None:
    (option,) = [word for word in SERVICES["prometheus"]["command"] if word.startswith("--config.file=")]
    file = Path(option.removeprefix("--config.file="))

    assert (ROOT / mounts("prometheus")[str(file.parent)] / file.name).is_file()
    assert "prometheus-data:/prometheus" in SERVICES["prometheus"]["volumes"]
    assert "--storage.tsdb.path=/prometheus" in SERVICES["prometheus"]["command"]


def test_grafana_finds_prometheus_and_our_dashboard() -> None:
    provisioning = ROOT / mounts("grafana")["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/data-streams.yml").read_text())["providers"]

    assert source["url"] == "http://prometheus:9090"
    assert source["isDefault"] is True
    assert f"{provider['options']['path']}/data-streams.json" in mounts("grafana")


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
