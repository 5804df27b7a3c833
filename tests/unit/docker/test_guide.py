"""The commands of docs/deploy.md, run as they stand there, with stand-ins for docker, kubectl and curl."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from guides import blocks, mentioned
from typer.testing import CliRunner

from app.cli import app
from app.model.cipher import Cipher
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
STREAMS = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m app "$@"\n'
STAND_IN = f"""#!{sys.executable}
import json, os, sys
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
said = sys.stdin.read() if arguments[-1] == "-" or "@-" in arguments else ""
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps([name, arguments, said]), file=calls)
if name == "docker" and "run" in arguments:  # what the image does with the arguments behind the service
    os.execvp("streams", ["streams", *arguments[arguments.index("gateway") + 1 :]])
"""


@dataclass(frozen=True)
class Call:
    name: str
    arguments: list[str]
    said: str


@dataclass(frozen=True)
class Done:
    """What has been called, and where the files of the commands are."""

    folder: Path
    calls: list[Call]

    def call(self, *beginning: str) -> Call:
        (found,) = [call for call in self.calls if (call.name, *call.arguments)[: len(beginning)] == beginning]
        return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """All of them, one after the other."""
    folder = tmp_path_factory.mktemp("deploy")
    programs = folder / "bin"
    programs.mkdir()
    for name in ("streams", "docker", "kubectl", "curl"):
        (programs / name).write_text(STREAMS if name == "streams" else STAND_IN)
        (programs / name).chmod(0o755)
    (folder / ".env.example").write_text((ROOT / ".env.example").read_text())
    piped = [command for command in mentioned("deploy.md", "streams") if "|" in command]
    script = "\n".join([*blocks("deploy.md"), *mentioned("deploy.md", "docker build"), *piped])
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "CALLS": str(folder / "calls"),
        "HOME": str(folder),
    }
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment, check=True)
    lines = (folder / "calls").read_text().splitlines()
    return Done(folder, [Call(*json.loads(line)) for line in lines])


def test_env_has_a_key_that_encrypts(done: Done) -> None:
    settings = Settings(_env_file=done.folder / ".env")  # type: ignore[call-arg]  # pydantic-settings' own argument

    assert Cipher(settings.encryption_key).encrypt("secret")


def test_profiles_that_are_started_are_there(done: Done) -> None:
    arguments = done.call("docker", "compose", "--profile").arguments

    named = [after for before, after in pairwise(arguments) if before == "--profile"]

    assert named
    assert set(named) <= {
        profile for service in COMPOSE["services"].values() for profile in service.get("profiles", [])
    }
    assert arguments[-2:] == ["up", "--build"]


def test_connector_is_posted_to_the_worker_of_compose(done: Done) -> None:
    call = done.call("curl")
    posted = json.loads(call.said)

    assert call.arguments[-1].startswith(f"http://{COMPOSE['services']['connect']['ports'][0].rpartition(':')[0]}/")
    assert posted["config"]["topics"] == "page-views"
    assert "http://gateway:8000/PATH" in posted["config"].values()


def test_secret_has_a_key_that_encrypts(done: Done) -> None:
    literal = done.call("kubectl", "create", "secret").arguments[-1]

    name, _, key = literal.removeprefix("--from-literal=").partition("=")

    assert name == "STREAMS_ENCRYPTION_KEY"
    assert Cipher([key]).encrypt("secret")


def test_folder_that_is_applied_is_there(done: Done) -> None:
    (call,) = [call for call in done.calls if call.name == "kubectl" and not call.said and call.arguments[0] == "apply"]

    assert list((ROOT / call.arguments[-1]).glob("*.yaml"))


def test_image_that_is_built_is_the_one_of_the_manifests(done: Done) -> None:
    tag = done.call("docker", "build").arguments[-2]
    deployment = next(yaml.safe_load_all((ROOT / "deploy/kubernetes/gateway.yaml").read_text()))

    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    assert tag == f"REGISTRY/{container['image']}"


def test_topic_of_a_receiver_is_applied(done: Done) -> None:
    (call,) = [call for call in done.calls if call.name == "kubectl" and call.said]

    topic = yaml.safe_load(call.said)

    assert (topic["kind"], topic["metadata"]["name"]) == ("KafkaTopic", "streams.events.1234.clicks")


PRINTING = [command for command in mentioned("deploy.md", "streams topics") if "|" not in command]


@pytest.mark.parametrize("command", PRINTING)
def test_commands_that_print_print_resources_of_strimzi(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, shlex.split(command)[1:])

    assert result.exit_code == 0, result.exception
    assert {document["apiVersion"] for document in yaml.safe_load_all(result.stdout)} == {"kafka.strimzi.io/v1"}


def test_every_command_is_run() -> None:
    """The others in the text need what runs: a gateway, or a cluster."""
    others = ["streams receivers url ID", "kubectl rollout status", "docker compose down -v"]

    said = [code for tool in ("streams ", "kubectl ", "docker ") for code in mentioned("deploy.md", tool)]

    run = [*PRINTING, *(code for code in said if "|" in code), *mentioned("deploy.md", "docker build")]
    assert sorted(said) == sorted([*run, *others])
