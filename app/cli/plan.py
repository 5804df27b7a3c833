"""What `apply` is to do: the difference between what a file wants and what the API shows. Pure.

Both sides are drafts in normal form (see `app.cli.bodies`), so after the steps of a plan have succeeded, the plan for
the same file is empty. Exports that are not in the file are deleted only when asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from app.api.drafts import ExportChange, ExportDraft, FilterChange, ReceiverChange, ReceiverDraft
from app.cli.bodies import conditions_body, split_word
from app.cli.signatures import auth_of, signature_change, signature_differences
from app.model.conditions import Conditions
from app.model.errors import BadRequest
from app.model.receiver import Column
from app.model.receiver import Mapping as TableMapping


class Action(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True)
class Difference:
    """One value that differs; None is "not there". `path` is such as "conditions.size"."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Step:
    """One call of the API. Without `export_id` it is about the receiver. `draft` is None for a deletion."""

    action: Action
    receiver_id: str
    export_id: str | None = None
    draft: ReceiverDraft | ExportDraft | ReceiverChange | ExportChange | None = None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which to carry them out. `unchanged` are entities of the file that are as it wants;
    `left_alone` are exports that the file does not name ("receiver/export").
    """

    steps: tuple[Step, ...] = ()
    unchanged: tuple[str, ...] = ()
    left_alone: tuple[str, ...] = ()

    def __add__(self, other: Plan) -> Plan:
        return Plan(self.steps + other.steps, self.unchanged + other.unchanged, self.left_alone + other.left_alone)


def plan_receiver(wanted: ReceiverDraft, found: ReceiverDraft | None, prune: bool = False) -> Plan:
    """Make or change a receiver, and its exports. Deletions come first: they make room within the limits.

    Where to begin to read a source counts at its creation alone. Raises BadRequest where the source is another.
    """
    name = wanted.receiver_id
    if found is None:
        return Plan((Step(Action.CREATE, name, draft=wanted),))
    if _topic(wanted) != _topic(found):
        raise BadRequest(
            f'The source of receiver "{name}" cannot be changed: it reads {_topic(found)}, not {_topic(wanted)}. '
            "Delete it, or give this one another id."
        )
    differences = tuple(
        Difference(field, before, after)
        for field, before, after in (
            ("name", found.name, wanted.name),
            ("description", found.description, wanted.description),
            ("auth", auth_of(found.bearer_only), auth_of(wanted.bearer_only)),
            ("split", split_word(found.split), split_word(wanted.split)),
        )
        if before != after
    )
    differences += tuple(Difference(*one) for one in signature_differences(found.signature, wanted.signature))
    change = ReceiverChange(
        wanted.name if wanted.name != found.name else None,
        wanted.description if wanted.description != found.description else None,
        wanted.bearer_only if wanted.bearer_only != found.bearer_only else None,
        signature_change(found.signature, wanted.signature),
        wanted.split if wanted.split != found.split else None,
    )
    own = Plan((Step(Action.CHANGE, name, None, change, differences),)) if differences else Plan(unchanged=(name,))
    return own + plan_exports(name, wanted.exports, found.exports, prune)


def _topic(receiver: ReceiverDraft) -> str:
    return "a topic of its own" if receiver.source is None else receiver.source.words


def plan_exports(
    receiver_id: str, wanted: Sequence[ExportDraft], found: Sequence[ExportDraft], prune: bool = False
) -> Plan:
    """Make or change exports of one receiver."""
    there = {export.export_id: export for export in found}
    named = {export.export_id for export in wanted}
    extra = [name for name in there if name not in named]
    steps = [Step(Action.DELETE, receiver_id, name) for name in extra] if prune else []
    unchanged = []
    for export in wanted:
        step = _export_step(receiver_id, export, there.get(export.export_id))
        if step is None:
            unchanged.append(f"{receiver_id}/{export.export_id}")
        else:
            steps.append(step)
    # Creations last: what is changed may free the table that a new export wants.
    steps.sort(key=lambda step: (Action.DELETE, Action.CHANGE, Action.CREATE).index(step.action))
    return Plan(tuple(steps), tuple(unchanged), () if prune else tuple(f"{receiver_id}/{name}" for name in extra))


def _export_step(receiver_id: str, wanted: ExportDraft, found: ExportDraft | None) -> Step | None:
    if found is None:
        return Step(Action.CREATE, receiver_id, wanted.export_id, wanted)
    if found == wanted:
        return None
    differences = [] if found.name == wanted.name else [Difference("name", found.name, wanted.name)]
    differences += _mapping_differences(found.mapping, wanted.mapping)
    differences += _conditions_differences(found.conditions, wanted.conditions)
    mapping, other = replace(wanted.mapping, filter=None), replace(found.mapping, filter=None)
    change = ExportChange(
        wanted.name if wanted.name != found.name else None,
        mapping if mapping != other else None,
        wanted.conditions if wanted.conditions != found.conditions else None,
        FilterChange(wanted.mapping.filter) if wanted.mapping.filter != found.mapping.filter else None,
    )
    return Step(Action.CHANGE, receiver_id, wanted.export_id, change, tuple(differences))


def _conditions_differences(before: Conditions, after: Conditions) -> Iterator[Difference]:
    now, then = conditions_body(before), conditions_body(after)
    for field in now:
        if now[field] != then[field]:
            yield Difference(f"conditions.{field}", str(now[field]), str(then[field]))


def _mapping_differences(before: TableMapping, after: TableMapping) -> Iterator[Difference]:
    if before.table_id != after.table_id:
        yield Difference("mapping.tableId", before.table_id, after.table_id)
    if before.incremental != after.incremental:
        yield Difference("mapping.incremental", _flag(before.incremental), _flag(after.incremental))
    there = {column.name: column for column in before.columns}
    wanted = {column.name: column for column in after.columns}
    for name in [*there, *(name for name in wanted if name not in there)]:
        yield from _column_differences(name, there, wanted)
    if before.filter != after.filter:
        yield Difference("filter", before.filter, after.filter)
    if set(there) == set(wanted) and list(there) != list(wanted):
        yield Difference("order of columns", ", ".join(there), ", ".join(wanted))


def _column_differences(name: str, there: Mapping[str, Column], wanted: Mapping[str, Column]) -> Iterator[Difference]:
    path, before, after = f"column {name}", there.get(name), wanted.get(name)
    if before is None or after is None:
        yield Difference(path, before.type.value if before else None, after.type.value if after else None)
        return
    if before.type is not after.type:
        yield Difference(f"{path}.type", before.type.value, after.type.value)
    if before.primary_key != after.primary_key:
        yield Difference(f"{path}.primaryKey", _flag(before.primary_key), _flag(after.primary_key))
    if before.template != after.template:
        yield Difference(f"{path}.template", before.template, after.template)
    if before.path != after.path:
        yield Difference(f"{path}.path", before.path, after.path)
    if before.default != after.default:
        yield Difference(f"{path}.defaultValue", before.default, after.default)
    if before.raw_string != after.raw_string:
        yield Difference(f"{path}.rawString", _flag(before.raw_string), _flag(after.raw_string))


def _flag(value: bool) -> str:
    return "true" if value else "false"
