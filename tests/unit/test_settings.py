"""Settings that cannot be meant are refused at start, by name and with what is allowed."""

from __future__ import annotations

import pytest

from app.model.errors import ConfigurationError
from app.settings import load_settings


@pytest.mark.parametrize("given", ["orders", "1234:", ":orders", "shop:orders", "1234:orders,returns"])
def test_source_topic_without_its_project_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMS_SOURCE_TOPICS", given)

    with pytest.raises(ConfigurationError, match=r"STREAMS_SOURCE_TOPICS: .* must be PROJECT:PATTERN"):
        load_settings(None)


def test_source_topics_are_a_project_and_a_pattern_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMS_SOURCE_TOPICS", "1234:orders, *:public.*")

    assert load_settings(None).source_topics == ["1234:orders", "*:public.*"]
