"""What a caller asks for, checked and normalised, before it is done: the payload of a command.

A draft has ids but no uid, no secret, no token and no offsets: control adds those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast, get_args

from pydantic import TypeAdapter, ValidationError

from app.model.conditions import Conditions
from app.model.errors import BadRequest
from app.model.receiver import Mapping, Receiver
from app.model.signature import Scheme, Signature

D = TypeVar("D", bound="Draft")


@dataclass(frozen=True)
class ExportDraft:
    """An export to create."""

    export_id: str
    name: str
    mapping: Mapping
    conditions: Conditions


@dataclass(frozen=True)
class SourceDraft:
    """A topic that is there already, read from the first record at or after `from_ms` (0: from the first one that there
    is; None: from the first that comes). Or, with a `pattern` and no `topic`, all topics that it means.
    """

    topic: str
    from_ms: int | None = None
    pattern: str | None = None

    @property
    def words(self) -> str:
        """What it reads, for people.

        >>> SourceDraft("orders").words, SourceDraft("", pattern="shop.*").words
        ('topic "orders"', 'topics "shop.*"')
        """
        return f'topic "{self.topic}"' if self.pattern is None else f'topics "{self.pattern}"'


@dataclass(frozen=True)
class ReceiverDraft:
    """A receiver to create, with its first exports. Without a `source` it gets a topic of its own."""

    receiver_id: str
    name: str
    description: str
    exports: tuple[ExportDraft, ...] = ()
    bearer_only: bool = False
    signature: Signature | None = None
    split: bool = True
    source: SourceDraft | None = None


@dataclass(frozen=True)
class SignatureChange:
    """How requests are to be signed; None for not at all. Without secrets it keeps those that are there."""

    signature: Signature | None

    def applied_to(self, current: Signature | None) -> Signature | None:
        """Raises BadRequest when there are no secrets, neither given nor there, or none that the scheme can surely
        use.
        """
        wanted = self.signature
        if wanted is None or wanted.secrets:
            return wanted
        if current is None:
            raise BadRequest('"secrets" is missing from body.signature', "buffer.missingField")
        if wanted.scheme is Scheme.STANDARD and current.scheme is not Scheme.STANDARD:
            raise BadRequest(
                f'"secrets" is missing from body.signature: those that are there are of the scheme "{current.scheme}", '
                f'and those of "{wanted.scheme}" must be base64',
                "buffer.missingField",
            )
        return replace(wanted, secrets=current.secrets)


NO_REQUESTS = 'A receiver with a "source" takes no requests, so it can have no "auth", "signature" or "split"'


@dataclass(frozen=True)
class ReceiverChange:
    """What of a receiver is to be changed; None leaves it as it is."""

    name: str | None = None
    description: str | None = None
    bearer_only: bool | None = None
    signature: SignatureChange | None = None
    split: bool | None = None

    def applied_to(self, receiver: Receiver) -> Receiver:
        """Raises BadRequest for a signature without secrets, and where nothing can be said of requests."""
        if receiver.is_bound and (self.bearer_only or self.signature is not None or self.split is False):
            raise BadRequest(NO_REQUESTS)
        signature = receiver.signature if self.signature is None else self.signature.applied_to(receiver.signature)
        return replace(
            receiver,
            name=receiver.name if self.name is None else self.name,
            description=receiver.description if self.description is None else self.description,
            bearer_only=receiver.bearer_only if self.bearer_only is None else self.bearer_only,
            signature=signature,
            split=receiver.split if self.split is None else self.split,
        )


@dataclass(frozen=True)
class Rotation:
    """A receiver is to have a new secret; the one before is taken for so long beside it, 0 for not at all."""

    overlap_seconds: float


@dataclass(frozen=True)
class FilterChange:
    """The filter that an export is to have; `source` is None for no filter."""

    source: str | None


@dataclass(frozen=True)
class ExportChange:
    """What of an export is to be changed, each as a whole; None leaves it as it is.

    `mapping` says nothing of the filter, which `filter` changes alone.
    """

    name: str | None = None
    mapping: Mapping | None = None
    conditions: Conditions | None = None
    filter: FilterChange | None = None

    def new_mapping(self, current: Mapping) -> Mapping | None:
        """The mapping of the revision that the change begins; None when it begins none."""
        keep = current.filter if self.filter is None else self.filter.source
        if self.mapping is None and keep == current.filter:
            return None
        return replace(self.mapping or current, filter=keep)


@dataclass(frozen=True)
class Deletion:
    """How a receiver or an export is to be deleted: drained or, with `discard`, without what is on its way.

    `delete_topic`: the receiver's topic goes too, once nothing is drained from it.
    """

    discard: bool = False
    delete_topic: bool = False


@dataclass(frozen=True)
class ReplayDraft:
    """Events received at or after `from_ms` and before `to_ms` (broker's time), into this table; None: the export's."""

    from_ms: int
    to_ms: int
    table_id: str | None = None


@dataclass(frozen=True)
class RequeueDraft:
    """Dead letters with this reason (None: any), published at or after `since_ms` and before `until_ms`."""

    reason: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True)
class Cancelling:
    """The replay with this id is to go no further."""

    lane: str


@dataclass(frozen=True)
class LaneResult:
    """What became of the offsets of the replay whose revision has this number."""

    revision: int
    rows: int
    failures: int


@dataclass(frozen=True)
class Retirement:
    """Revisions, by number, of the export with this uid that have nothing on their way any more, those of replays
    among them.
    """

    uid: str
    revisions: tuple[int, ...]
    results: tuple[LaneResult, ...] = ()


@dataclass(frozen=True)
class Suspending:
    """The mapper asks that the export with this uid is mapped no further, if this is still its revision."""

    uid: str
    revision: int
    reason: str


@dataclass(frozen=True)
class Retry:
    """A batch to be tried again, as it was after its attempt that began at `attempt_ms` (0: none)."""

    batch_id: str
    attempt_ms: int


Draft = (
    ReceiverDraft
    | ExportDraft
    | ReceiverChange
    | Rotation
    | ExportChange
    | Deletion
    | ReplayDraft
    | RequeueDraft
    | Cancelling
    | Retirement
    | Retry
    | Suspending
)
_adapters: dict[type[Any], TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in get_args(Draft)}


def dump_draft(draft: Draft) -> str:
    """The draft as JSON, for a command."""
    return _adapters[type(draft)].dump_json(draft).decode()


def load_draft(kind: type[D], payload: str) -> D:
    """Raises BadRequest for what is no draft of this kind, such as a newer version's."""
    try:
        return cast(D, _adapters[kind].validate_json(payload))
    except ValidationError as error:
        raise BadRequest(f"This version of control cannot read the command: {error.error_count()} errors.") from error
