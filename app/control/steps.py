"""What to do next in Storage, from what was looked up: pure.

A task first looks at everything that its exports need, then writes down what was absent (`Progress`), then makes it:
bucket, token, table. So whoever resumes or undoes the task knows what it may have made: what was absent then and is
there now. A token's text is shown once, so tokens that a dead process made are known by their description (those that
were there before are in `Progress`) and removed, and new ones made.

A fact that is not known, or was lost with an unclear answer, is looked up again before anything is done about it.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from app.model.errors import BadRequest
from app.model.receiver import Mapping, TableId


@dataclass(frozen=True)
class Wanted:
    """What one export needs: its table with the bucket around it, and a token with this description."""

    export_id: str
    description: str
    mapping: Mapping

    @property
    def bucket_id(self) -> str:
        return TableId.parse(self.mapping.table_id).bucket_id


@dataclass(frozen=True)
class Failure:
    """Why a task ends in error, in words for its user, with the status and name for a call that waits for it."""

    message: str
    status: int = 500
    name: str = "buffer.taskFailed"


@dataclass(frozen=True)
class Progress:
    """What a task may have made, as the control log keeps it with the task.

    `buckets` and `tables` were absent, `other_tokens` had one of our descriptions, when the task looked first.
    With a `failure` the task is being undone. `spent_tokens` are to be deleted, by id, whatever their description, and
    the topic `spent_topic` (name, id) with them. With `made` all is in the log, and the task goes on to its end.
    """

    buckets: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    other_tokens: tuple[str, ...] = ()
    failure: Failure | None = None
    spent_tokens: tuple[str, ...] = ()
    spent_topic: tuple[str, str] | None = None
    made: bool = False


_progress = TypeAdapter(Progress)


def dump_progress(progress: Progress) -> str:
    return _progress.dump_json(progress).decode()


def load_progress(text: str) -> Progress:
    return _progress.validate_json(text)


@dataclass(frozen=True)
class Table:
    """A table that is there."""

    columns: tuple[str, ...]
    primary_key: tuple[str, ...]
    rows: int = 0


_UNKNOWN = Table((), ())


@dataclass(frozen=True)
class Token:
    """A token made by this process. `text` is a secret."""

    token_id: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class Known:
    """What is known of Storage now: a bucket or table not named here, or `tokens` None, must be looked up.

    `tables` maps to None where there is no table; `tokens` are ids to descriptions; `held` are tokens by export id.
    """

    buckets: Map[str, bool] = field(default_factory=dict)
    tables: Map[str, Table | None] = field(default_factory=dict)
    tokens: Map[str, str] | None = None
    held: Map[str, Token] = field(default_factory=dict)

    def with_bucket(self, bucket_id: str, there: bool | None) -> Known:
        """`there` None: not known any more."""
        buckets = {**self.buckets, bucket_id: bool(there)}
        if there is None:
            del buckets[bucket_id]
        return replace(self, buckets=buckets)

    def with_table(self, table_id: str, table: Table | None) -> Known:
        return replace(self, tables={**self.tables, table_id: table})

    def without_table(self, table_id: str) -> Known:
        """The table must be looked up again."""
        return replace(self, tables={key: value for key, value in self.tables.items() if key != table_id})

    def with_token(self, export_id: str, token: Token, description: str) -> Known:
        tokens = {**(self.tokens or {}), token.token_id: description}
        return replace(self, tokens=tokens, held={**self.held, export_id: token})

    def without_tokens(self, token_ids: Sequence[str]) -> Known:
        tokens = {key: value for key, value in (self.tokens or {}).items() if key not in token_ids}
        held = {key: token for key, token in self.held.items() if token.token_id not in token_ids}
        return replace(self, tokens=tokens, held=held)


@dataclass(frozen=True)
class LookAtBucket:
    bucket_id: str


@dataclass(frozen=True)
class LookAtTable:
    table_id: str


@dataclass(frozen=True)
class LookAtTokens:
    pass


@dataclass(frozen=True)
class WriteProgress:
    progress: Progress


@dataclass(frozen=True)
class CreateBucket:
    bucket_id: str


@dataclass(frozen=True)
class CreateToken:
    export_id: str
    description: str
    bucket_id: str


@dataclass(frozen=True)
class CreateTable:
    mapping: Mapping


@dataclass(frozen=True)
class DeleteTokens:
    token_ids: tuple[str, ...]


@dataclass(frozen=True)
class DeleteTable:
    table_id: str


@dataclass(frozen=True)
class DeleteBucket:
    bucket_id: str


Step = (
    LookAtBucket
    | LookAtTable
    | LookAtTokens
    | WriteProgress
    | CreateBucket
    | CreateToken
    | CreateTable
    | DeleteTokens
    | DeleteTable
    | DeleteBucket
)


def token_description(receiver_id: str, export_id: str) -> str:
    return f"[_internal] Buffer Export {export_id} for Receiver {receiver_id}"


def next_step(wanted: Sequence[Wanted], progress: Progress | None, known: Known) -> Step | None:
    """The next step towards everything that is wanted; None when all is there and a token is held for each export.

    Raises BadRequest when a table that is there, or that another export of the same task wants, does not match.
    """
    look = _first_unknown(_buckets(wanted), _tables(wanted), known)
    if look is not None:
        return look
    _check_tables(wanted, known)
    if progress is None:
        assert known.tokens is not None
        return WriteProgress(
            Progress(
                buckets=tuple(bucket for bucket in _buckets(wanted) if not known.buckets[bucket]),
                tables=tuple(table for table in _tables(wanted) if known.tables.get(table) is None),
                other_tokens=tuple(_described(wanted, known)),
            )
        )
    for bucket in _buckets(wanted):
        if not known.buckets[bucket]:
            return CreateBucket(bucket)
    left_behind = _made_tokens(wanted, progress, known) - {token.token_id for token in known.held.values()}
    if left_behind:
        return DeleteTokens(tuple(sorted(left_behind)))
    for want in wanted:
        if want.export_id not in known.held:
            return CreateToken(want.export_id, want.description, want.bucket_id)
    for want in wanted:
        if known.tables.get(want.mapping.table_id) is None:
            return CreateTable(want.mapping)
    return None


def next_undo(wanted: Sequence[Wanted], progress: Progress, known: Known) -> Step | None:
    """The next step towards nothing being left of the task: tables, tokens, buckets; None when it is so.

    A table with rows in it is not one that this task made just now, so it stays, and its bucket with it.
    """
    look = _first_unknown(progress.buckets, progress.tables, known)
    if look is not None:
        return look
    for table_id in reversed(progress.tables):
        table = known.tables.get(table_id)
        if table is not None and table.rows == 0:
            return DeleteTable(table_id)
    made = _made_tokens(wanted, progress, known)
    if made:
        return DeleteTokens(tuple(sorted(made)))
    kept = {TableId.parse(table_id).bucket_id for table_id in progress.tables if known.tables.get(table_id) is not None}
    for bucket in reversed(progress.buckets):
        if known.buckets.get(bucket) and bucket not in kept:
            return DeleteBucket(bucket)
    return None


def may_be_left(wanted: Sequence[Wanted], progress: Progress, known: Known) -> list[str]:
    """What of the task may be in Storage, in words, in the order in which it is to be deleted."""
    tables = [t for t in reversed(progress.tables) if known.buckets.get(TableId.parse(t).bucket_id, True)]
    found = [f'the table "{t}"' for t in tables if known.tables.get(t, _UNKNOWN) is not None]
    if known.tokens is None:
        found += [f'the token described as "{want.description}"' for want in wanted]
    else:
        found += [f"the token {token_id}" for token_id in sorted(_made_tokens(wanted, progress, known))]
    return found + [f'the bucket "{b}"' for b in reversed(progress.buckets) if known.buckets.get(b, True)]


def _first_unknown(buckets: Sequence[str], tables: Sequence[str], known: Known) -> Step | None:
    for bucket in buckets:
        if bucket not in known.buckets:
            return LookAtBucket(bucket)
    for table in tables:
        if table not in known.tables and known.buckets.get(TableId.parse(table).bucket_id, True):
            return LookAtTable(table)
    return LookAtTokens() if known.tokens is None else None


def _buckets(wanted: Sequence[Wanted]) -> list[str]:
    return list(dict.fromkeys(want.bucket_id for want in wanted))


def _tables(wanted: Sequence[Wanted]) -> list[str]:
    return list(dict.fromkeys(want.mapping.table_id for want in wanted))


def _described(wanted: Sequence[Wanted], known: Known) -> list[str]:
    """Ids of the tokens that have one of our descriptions."""
    descriptions = {want.description for want in wanted}
    return sorted(token for token, description in (known.tokens or {}).items() if description in descriptions)


def _made_tokens(wanted: Sequence[Wanted], progress: Progress, known: Known) -> set[str]:
    return set(_described(wanted, known)) - set(progress.other_tokens)


def _check_tables(wanted: Sequence[Wanted], known: Known) -> None:
    first: dict[str, Table | None] = dict(known.tables)
    for want in wanted:
        mapping = want.mapping
        mine = Table(tuple(mapping.column_names), tuple(mapping.primary_key))
        there = first.get(mapping.table_id)
        if there is None:
            first[mapping.table_id] = mine
            continue
        problems = []
        if there.columns != mine.columns:
            problems.append(_mismatch("columns", "do", mapping.table_id, mine.columns, there.columns))
        if there.primary_key != mine.primary_key:
            problems.append(_mismatch("primary key", "does", mapping.table_id, mine.primary_key, there.primary_key))
        if problems:
            raise BadRequest(problems[0] if len(problems) == 1 else "\n".join(f"- {line}" for line in problems))


def _mismatch(what: str, verb: str, table_id: str, expected: Sequence[str], found: Sequence[str]) -> str:
    """Source: Buffer API, buckets and tables."""

    def names(values: Sequence[str]) -> str:
        return "[" + ",".join(f'"{value}"' for value in values) + "]"

    return f'{what} of the table "{table_id}" {verb} not match expected {names(expected)}, found {names(found)}'
