"""What is wrong with what is asked of `streams topics` is said before Kafka is."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.model.errors import ConfigurationError


@pytest.mark.parametrize("receiver", ["clicks", "1234/Clicks_X", "1234/", "shop/clicks", "1234/a/b", "1234/-", "1/?"])
def test_topic_is_exported_for_no_receiver_that_cannot_be(receiver: str) -> None:
    result = CliRunner().invoke(app, ["topics", "export", "--format", "strimzi", "--receiver", receiver])

    assert isinstance(result.exception, ConfigurationError)
    assert f'"{receiver}" is no receiver: write PROJECT/RECEIVER' in str(result.exception)


def test_principal_of_a_process_that_there_is_not_is_refused() -> None:
    result = CliRunner().invoke(app, ["topics", "acls", "--principal", "gatway=User:x"])

    assert isinstance(result.exception, ConfigurationError)
    assert "There is no process gatway: there are gateway, control" in str(result.exception)


def test_principal_with_an_equals_sign_is_that_of_all() -> None:
    result = CliRunner().invoke(app, ["topics", "acls", "--principal", "User:CN=streams", "--format", "json"])

    assert '"principal": "User:CN=streams"' in result.stdout
