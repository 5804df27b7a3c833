"""Identifiers: what people choose (receiver and export ids), what we mint (uids, secrets, event ids).

A uid is minted at create, so an entity made again under the same id shares no offset, mark or ledger record with the
old one.
"""

from __future__ import annotations

import re
import secrets
import string
import unicodedata

import uuid_utils

from app.model.errors import BadRequest

MAX_ID_LENGTH = 48
ID_PATTERN = "[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?"
"""What `normalise_id` makes, as a regular expression."""
SECRET_LENGTH = 48
_ALPHABET = string.ascii_letters + string.digits
_EVENT_NAMESPACE = uuid_utils.UUID("6ad2c6a5-9b5b-4b37-8d9e-3b2f0a7f5c11")


def normalise_id(text: str) -> str:
    """The id that a name or an explicit id stands for: lower case letters, digits and dashes, at most 48.

    Source: Buffer API, identifiers; explicit ids go the same way. Raises BadRequest when nothing usable is left.
    """
    plain = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    spaced = re.sub(r"(?<=[^A-Z\W_])(?=[A-Z])", "-", plain)
    result = re.sub(r"[^a-z0-9]+", "-", spaced.lower()).strip("-")[:MAX_ID_LENGTH].strip("-")
    if not result:
        raise BadRequest(f'No id can be made from "{text}": it needs at least one letter or digit (a-z, 0-9).')
    return result


def new_uid() -> str:
    """A uid for a receiver, an export, a batch or a command: a UUIDv7, so uids sort by time."""
    return str(uuid_utils.uuid7())


def new_event_id() -> str:
    """The `id` of an event that the gateway accepts: a UUIDv7."""
    return str(uuid_utils.uuid7())


def derived_event_id(topic_id: str, partition: int, offset: int) -> str:
    """The `id` of an event that a plain Kafka producer wrote: always the same for the same record (UUIDv5)."""
    return str(uuid_utils.uuid5(_EVENT_NAMESPACE, f"{topic_id}/{partition}/{offset}"))


def keyed_event_id(*parts: str) -> str:
    """The `id` of an event of which the sender says by what it is known: always the same for the same parts (UUIDv5).
    None of them has a NUL.
    """
    return str(uuid_utils.uuid5(_EVENT_NAMESPACE, "\0".join(parts)))


def new_secret() -> str:
    """The secret part of an import URL: 48 letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_LENGTH))
