"""Encryption of secrets and tokens at rest (Fernet), with rotation by a list of keys."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.model.errors import ConfigurationError


class Cipher:
    """Encrypts with the first key, decrypts with any of them."""

    def __init__(self, keys: list[str]) -> None:
        if not keys:
            raise ConfigurationError(
                "STREAMS_ENCRYPTION_KEY is not set. Make one with `streams key` and give it to every process."
            )
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise ConfigurationError(
                "STREAMS_ENCRYPTION_KEY is not a Fernet key (32 bytes, url-safe base64). Make one with `streams key`."
            ) from error

    @staticmethod
    def new_key() -> str:
        return Fernet.generate_key().decode()

    def encrypt(self, text: str) -> bytes:
        return self._fernet.encrypt(text.encode())

    def decrypt(self, data: bytes) -> str:
        """Raises ConfigurationError when none of the keys fits."""
        try:
            return self._fernet.decrypt(data).decode()
        except InvalidToken as error:
            raise ConfigurationError(
                "A secret in the control log was encrypted with a key that STREAMS_ENCRYPTION_KEY does not list."
            ) from error
