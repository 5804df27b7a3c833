"""The API without Kafka and Storage: for what it answers before it asks either."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from fastapi import FastAPI

from app.api.service import create_api
from app.api.trials import Trials
from app.model.catalog import Catalog
from app.model.cipher import Cipher
from app.settings import Settings


@pytest.fixture
def settings() -> Settings:
    return Settings(_env_file=None, encryption_key=[Cipher.new_key()], public_address="https://streams.example.com")


@pytest.fixture
def api(settings: Settings) -> FastAPI:
    view = SimpleNamespace(catalog=Catalog(), listen=lambda listener: None)
    return create_api(settings, view, None, Trials(settings))  # type: ignore[arg-type]  # nothing is read or sent
