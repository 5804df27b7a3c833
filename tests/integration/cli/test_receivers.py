"""Receivers, exports, tasks and tokens from the command line, over HTTP, on a real gateway and control process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from buffer_stack import Controls, make_settings
from click.testing import Result
from gateway_process import wait_for
from typer.testing import CliRunner
from warm import start_streams

from app.cli import app
from app.kafka.names import Names
from app.kafka.reader import read_to_end
from app.local.ports import free_port
from app.local.storage import Emulator
from app.settings import Settings

Streams = Callable[..., Result]


@pytest.fixture(scope="module")
def gateway(kafka: str, emulator_process: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of a gateway that is ready, with a control process behind it."""
    folder = tmp_path_factory.mktemp("gateway")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    settings = make_settings(
        kafka, f"test-{folder.name}-{port}", emulator_process, gateway_port=port, public_address=address
    )
    values = {**settings.model_dump(mode="json", exclude_defaults=True), "encryption_key": settings.encryption_key[0]}
    environment = {f"STREAMS_{name.upper()}": str(value) for name, value in values.items()}
    controls = Controls(settings, folder)
    controls.start()
    with (folder / "gateway.log").open("wb") as log:
        process = start_streams("gateway", {**os.environ, **environment}, log)

    def ready() -> bool:
        try:
            return httpx.get(f"{address}/ready").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_for(ready, "a ready gateway")
        yield settings
    finally:
        process.terminate()
        process.wait(60)
        for control in controls.started:
            control.kill()


@pytest.fixture
def streams(gateway: Settings, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Streams:
    """Runs `streams ...` as a script would: without a terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMS_PUBLIC_ADDRESS", gateway.public_address)
    monkeypatch.setenv("STREAMS_STORAGE_TOKEN", emulator.master_token)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return run


def receiver_file(name: str, **others: Any) -> str:
    """As YAML, of which JSON is a part."""
    return json.dumps({"name": name, "exports": [export(name)], **others})


def export(name: str, export_id: str = "all", **others: Any) -> dict[str, Any]:
    columns = [{"name": "id", "type": "id", "primaryKey": True}, {"name": "body", "type": "body"}]
    mapping = {"tableId": f"in.c-{name}.{export_id}", "columns": columns}
    return {"id": export_id, "name": export_id, "mapping": mapping, **others}


def succeed(result: Result) -> str:
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def message_of(result: Result) -> str:
    """The one line that `main` prints of an error."""
    message: str = getattr(result.exception, "message", "")
    assert message, (result.output, result.exception)
    assert "\n" not in message
    return message


def test_created_receiver_is_listed_and_shown(streams: Streams, name: str) -> None:
    created = succeed(streams("receivers", "create", "-f", "-", stdin=receiver_file(name)))

    assert created == f"receiver {name} created\n"
    assert f"in.c-{name}.all" in succeed(streams("receivers", "list"))
    assert name in succeed(streams("receivers", "show", name))
    assert "1,000 rows, 5MB or 5m0s" in succeed(streams("exports", "show", name, "all"))
    assert succeed(streams("receivers", "url", name)).startswith(os.environ["STREAMS_PUBLIC_ADDRESS"])


def test_json_is_the_answer_of_the_api(streams: Streams, name: str) -> None:
    task = json.loads(succeed(streams("receivers", "create", "-f", "-", "--json", stdin=receiver_file(name))))

    shown = json.loads(succeed(streams("receivers", "show", name, "--json")))
    assert (task["status"], task["outputs"]) == ("success", {"receiverId": name})
    assert shown in json.loads(succeed(streams("receivers", "list", "--json")))["receivers"]
    assert json.loads(succeed(streams("exports", "list", name, "--json"))) == {"exports": shown["exports"]}
    assert json.loads(succeed(streams("exports", "show", name, "all", "--json"))) == shown["exports"][0]
    assert json.loads(succeed(streams("tasks", "show", task["url"], "--json"))) == task


def test_task_may_be_waited_for_later(streams: Streams, name: str) -> None:
    begun = succeed(streams("receivers", "create", "-f", "-", "--no-wait", "--json", stdin=receiver_file(name)))

    finished = json.loads(succeed(streams("tasks", "wait", json.loads(begun)["id"], "--json")))

    assert finished["status"] == "success"


def test_apply_creates_then_changes_then_does_nothing(streams: Streams, name: str) -> None:
    first, second = (
        receiver_file(name),
        receiver_file(
            name, description="Web", exports=[export(name, conditions={"size": "1024kB"}), export(name, "more")]
        ),
    )

    created = succeed(streams("receivers", "apply", "-f", "-", "--yes", stdin=first))
    changed = succeed(streams("receivers", "apply", "-f", "-", "--yes", stdin=second))
    again = succeed(streams("receivers", "apply", "-f", "-", stdin=second))

    assert f"+ create receiver {name}" in created
    assert 'description: "" → "Web"' in changed
    assert 'conditions.size: "5MB" → "1MB"' in changed
    assert f"export {name}/more created" in changed
    assert again.endswith("Nothing to do.\n")
    shown = json.loads(succeed(streams("receivers", "show", name, "--json")))
    assert (shown["description"], [one["conditions"]["size"] for one in shown["exports"]]) == ("Web", ["1MB", "5MB"])


def test_apply_changes_a_mapping(streams: Streams, name: str) -> None:
    succeed(streams("receivers", "create", "-f", "-", stdin=receiver_file(name)))
    other = export(name)
    other["mapping"] = {**other["mapping"], "tableId": f"in.c-{name}.new"}

    succeed(streams("exports", "apply", name, "-f", "-", "--yes", stdin=json.dumps(other)))

    assert json.loads(succeed(streams("exports", "show", name, "all", "--json")))["mapping"]["tableId"].endswith("new")


def test_dry_run_changes_nothing_and_ends_with_three(streams: Streams, name: str) -> None:
    result = streams("receivers", "apply", "-f", "-", "--dry-run", "--json", stdin=receiver_file(name))

    assert result.exit_code == 3
    assert json.loads(result.stdout)["steps"] == [{"action": "create", "receiverId": name, "differences": []}]
    assert "not found" in message_of(streams("receivers", "show", name))


def test_apply_without_a_terminal_wants_a_yes(streams: Streams, name: str) -> None:
    result = streams("receivers", "apply", "-f", "-", stdin=receiver_file(name))

    assert "add --yes" in message_of(result)
    assert "not found" in message_of(streams("receivers", "show", name))


def test_export_that_the_file_does_not_name_is_deleted_only_with_prune(streams: Streams, name: str) -> None:
    succeed(streams("receivers", "create", "-f", "-", stdin=receiver_file(name)))
    bare = receiver_file(name, exports=[])

    kept = succeed(streams("receivers", "apply", "-f", "-", "--yes", stdin=bare))
    pruned = succeed(streams("receivers", "apply", "-f", "-", "--yes", "--prune", "--json", stdin=bare))

    assert f"{name}/all is not in the file and is left alone" in kept
    assert json.loads(pruned)["exports"] == []


def test_update_changes_what_is_given(streams: Streams, name: str) -> None:
    succeed(streams("receivers", "create", "-f", "-", stdin=receiver_file(name)))

    given = ("--description", "Of the shop", "--split", "off")
    changed = json.loads(succeed(streams("receivers", "update", name, *given, "--json")))

    assert (changed["name"], changed["description"], changed["split"]) == (name, "Of the shop", "off")


def test_tokens_are_refreshed(streams: Streams, name: str) -> None:
    succeed(streams("receivers", "create", "-f", "-", stdin=receiver_file(name)))

    assert succeed(streams("tokens", "refresh", name)) == f"receiver {name}: 1 export has a new token\n"


def test_connector_is_rendered_with_the_receivers_url(streams: Streams, name: str) -> None:
    succeed(streams("receivers", "create", "-f", "-", stdin=receiver_file(name)))
    url = succeed(streams("receivers", "url", name)).strip()

    connector = json.loads(succeed(streams("connectors", "render", "--receiver", name, "--topics", "orders,returns")))

    assert connector["name"] == f"{name}-sink"
    assert connector["config"]["http.url"] == url
    assert connector["config"]["topics"] == "orders,returns"


def test_exports_and_receivers_are_deleted(streams: Streams, name: str) -> None:
    succeed(streams("receivers", "create", "-f", "-", stdin=receiver_file(name)))
    succeed(streams("exports", "create", name, "-f", "-", stdin=json.dumps(export(name, "more"))))

    succeed(streams("exports", "delete", name, "more", "--discard", "--yes"))
    left = json.loads(succeed(streams("exports", "list", name, "--json")))["exports"]
    succeed(streams("receivers", "delete", name, "--discard", "--delete-topic", "--yes"))

    assert [one["id"] for one in left] == ["all"]
    assert "`streams receivers list`" in message_of(streams("receivers", "show", name))


def test_export_is_tried_on_a_file_and_on_real_events(streams: Streams, name: str, tmp_path: Path) -> None:
    succeed(streams("receivers", "create", "-f", "-", stdin=receiver_file(name)))
    (tmp_path / "events.ndjson").write_text("one\ntwo\n")

    tried = json.loads(succeed(streams("exports", "test", name, "all", "-f", "events.ndjson", "--json")))
    before = succeed(streams("exports", "test", name, "all", "--last", "5"))
    assert httpx.post(succeed(streams("receivers", "url", name)).strip(), content=b"three").status_code == 200
    after = succeed(streams("exports", "test", name, "all", "--last", "5"))

    assert [event["columns"][1]["value"] for event in tried["events"]] == ["one", "two"]
    assert "0 events" in before
    assert "three" in after
    assert "1 events: 1 rows" in after
    assert "Say either --last or --file." in message_of(streams("exports", "test", name, "all"))


def test_receiver_that_is_there_is_not_created_again(streams: Streams, name: str) -> None:
    succeed(streams("receivers", "create", "-f", "-", stdin=receiver_file(name)))

    result = streams("receivers", "create", "-f", "-", stdin=receiver_file(name))

    assert message_of(result) == (
        f'Receiver "{name}" already exists in the project. `streams receivers apply` changes one that is there.'
    )


def test_failed_task_is_one_line(streams: Streams, emulator: Emulator, name: str) -> None:
    succeed(streams("receivers", "create", "-f", "-", stdin=receiver_file(name)))
    other = export(name, "other")
    other["mapping"] = {"tableId": f"in.c-{name}.all", "columns": [{"name": "different", "type": "body"}]}

    result = streams("exports", "create", name, "-f", "-", stdin=json.dumps(other))

    assert message_of(result).startswith("export.create failed: ")
    assert getattr(result.exception, "exit_code", None) == 1


def test_refused_token_says_which_setting_to_mend(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMS_STORAGE_TOKEN", "1234-9-wrong")

    message = message_of(streams("receivers", "list"))

    assert "STREAMS_STORAGE_TOKEN" in message
    assert "1234-9-wrong" not in message


def test_nobody_at_the_address_says_how_to_start_or_find_it(streams: Streams) -> None:
    result = streams("receivers", "list", "--address", f"http://127.0.0.1:{free_port()}")

    assert "streams local up" in message_of(result)
    assert "--address" in message_of(result)


def test_another_server_is_no_buffer_api(streams: Streams, emulator: Emulator) -> None:
    result = streams("receivers", "list", "--address", emulator.url)

    assert "is no Buffer API" in message_of(result)


GUIDE = (Path(__file__).resolve().parents[3] / "docs/webhooks.md").read_text()
LOOK_UP = """
streams() {  # a process less for each URL
  case "$2" in
  url) curl -fs -H "X-StorageApi-Token: $STREAMS_STORAGE_TOKEN" "$STREAMS_PUBLIC_ADDRESS/v1/receivers/$3" |
    sed -n 's/.*"url": *"\\([^"]*\\)".*/\\1/p' ;;
  secret) curl -fs -H "X-StorageApi-Token: $STREAMS_STORAGE_TOKEN" "$STREAMS_PUBLIC_ADDRESS/v1/receivers/$3" |
    sed -n 's/.*"token": *"\\([^"]*\\)".*/\\1/p' ;;
  *) "$PYTHON" -m app "$@" ;;
  esac
}
"""


def test_guide_to_webhooks_does_what_it_says(streams: Streams, gateway: Settings, tmp_path: Path) -> None:
    """Every block of it, in one shell. `streams` has put address and token into the environment.

    What it tells of secrets holds: neither Kafka nor anything that was printed has one.
    """
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, flags=re.DOTALL)
    script = LOOK_UP + "".join(blocks).replace(".venv/bin/streams", "streams")

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    assert script.count("curl -i ") == 10
    assert done.stdout.count("HTTP/1.1 200 OK") == 10, done.stdout
    assert '{"challenge":"3eZbrw1a"}' in done.stdout
    assert "change receiver github" in done.stdout
    assert "signature.secrets" in done.stdout
    shown = succeed(streams("receivers", "show", "shopify"))
    assert "secret before" in shown
    names = Names(gateway.topic_prefix)
    places = [(names.control, 0), *((names.commands, number) for number in range(gateway.command_partitions))]
    kept = b"".join(message.value() or b"" for place in places for message in read_to_end(gateway, *place))
    assert b"shopify" in kept
    for secret in ("shown-by-shopify", "secret told to GitHub", "agreed-upon"):
        assert secret in script
        assert secret not in done.stdout + shown
        assert secret.encode() not in kept


def test_secret_that_is_rotated_without_an_overlap_ends_at_once(streams: Streams, name: str) -> None:
    succeed(streams("receivers", "create", "-f", "-", stdin=json.dumps({"name": name})))
    before, secret = (succeed(streams("receivers", what, name)).strip() for what in ("url", "secret"))

    shown = json.loads(succeed(streams("receivers", "rotate", name, "--overlap", "0s", "--yes", "--json")))

    assert before.endswith(f"/{secret}")
    assert shown["url"] != before
    assert "previousSecretUntil" not in shown
    wait_for(lambda: httpx.post(before, content=b"1").status_code == 404, "404 for the secret before")
    assert httpx.post(shown["url"], content=b"2").status_code == 200
    assert "overlap must be a duration" in message_of(streams("receivers", "rotate", name, "--overlap=1", "-y"))


def test_receiver_with_a_token_alone_refuses_its_secret_in_the_url(streams: Streams, name: str) -> None:
    succeed(streams("receivers", "create", "-f", "-", stdin=json.dumps({"name": name})))
    before = succeed(streams("receivers", "url", name)).strip()

    shown = json.loads(succeed(streams("receivers", "update", name, "--auth", "bearer", "--json")))

    secret = succeed(streams("receivers", "secret", name)).strip()
    assert (shown["url"], shown["token"]) == (before.removesuffix(f"/{secret}"), secret)
    wait_for(lambda: httpx.post(before, content=b"1").status_code == 401, "401 for the secret in the URL")
    headers = {"Authorization": f"Bearer {secret}"}
    assert httpx.post(shown["url"], content=b"2", headers=headers).status_code == 200
