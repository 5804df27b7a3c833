"""What the commands on receivers, exports and tasks print for people. Texts of users are never read as markup."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from app.cli.plan import Action, Difference, Plan, Step
from app.cli.terminal import printable

_MOST_SHOWN = 100
_MOST_CHARACTERS = 80
_SIGNS = {Action.CREATE: ("+", "green"), Action.CHANGE: ("~", "yellow"), Action.DELETE: ("-", "red")}


def receivers_table(receivers: Sequence[Mapping[str, Any]]) -> Table:
    """Without the URLs: they hold secrets, and `streams receivers url` prints one. What is wrong with a receiver has a
    column of its own, where there is something.
    """
    problems = any("problem" in receiver for receiver in receivers)
    more = [Column("problem", overflow="fold")] if problems else []
    table = Table("id", "name", "exports", Column("tables", overflow="fold"), *more, box=None, header_style="bold")
    for receiver in receivers:
        tables = sorted({export["mapping"]["tableId"] for export in receiver["exports"]})
        problem = [Text(receiver.get("problem", ""))] if problems else []
        exports = str(len(receiver["exports"]))
        table.add_row(Text(receiver["id"]), Text(receiver["name"]), exports, Text("\n".join(tables)), *problem)
    return table


def exports_table(exports: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("id", "name", "table", "columns", "load", "conditions", "state", box=None, header_style="bold")
    for export in exports:
        mapping = export["mapping"]
        table.add_row(
            Text(export["id"]),
            Text(export["name"]),
            Text(mapping["tableId"]),
            str(len(mapping["columns"])),
            _load(mapping),
            _conditions(export["conditions"]),
            export.get("suspension", {}).get("state", ""),
        )
    return table


def receiver_view(receiver: Mapping[str, Any]) -> RenderableType:
    names = ("id", "name", "description", "split", "url", "token", "problem")
    shown = {name: receiver[name] for name in names if name in receiver}
    if "previousSecretUntil" in receiver:
        shown["secret before"] = f"works until {receiver['previousSecretUntil']}"
    if "signature" in receiver:
        shown["signature"] = _signature(receiver["signature"])
    if "source" in receiver:
        shown["source"] = source_words(receiver["source"])
    facts = _facts(shown)
    exports = receiver["exports"]
    return Group(facts, Text(), exports_table(exports) if exports else Text("No exports: its events go nowhere yet."))


def source_words(source: Mapping[str, Any]) -> str:
    """What a receiver reads that has no URL.

    >>> source_words({"topic": "orders"}), source_words({"topics": "shop.*", "read": ["shop.a", "shop.b"]})
    ('topic orders', 'topics shop.* (now shop.a, shop.b)')
    """
    if "topic" in source:
        return f"topic {source['topic']}"
    return f"topics {source['topics']} (now {', '.join(source.get('read', ())) or 'none'})"


def export_view(export: Mapping[str, Any]) -> RenderableType:
    mapping = export["mapping"]
    facts = _facts(
        {
            "id": f"{export['receiverId']}/{export['id']}",
            "name": export["name"],
            "table": f"{mapping['tableId']} ({_load(mapping)})",
            "filter": export.get("filter", {}).get("content", ""),
            "conditions": _conditions(export["conditions"]),
            "state": _state(export),
        }
    )
    columns = Table("column", "type", "key", Column("value", overflow="fold"), box=None, header_style="bold")
    for column in mapping["columns"]:
        key = "primary" if column["primaryKey"] else ""
        columns.add_row(Text(column["name"]), column["type"], key, Text(_value(column)))
    return Group(facts, Text(), columns)


def task_view(task: Mapping[str, Any]) -> RenderableType:
    names = ("id", "type", "status", "createdAt", "finishedAt", "waitsFor", "result", "error")
    facts = {name: str(task[name]) for name in names if name in task}
    if "duration" in task:
        facts["duration"] = f"{task['duration']} ms"
    return _facts(facts)


def dry_run_view(answer: Mapping[str, Any], title: str, *, rows: bool = True) -> RenderableType:
    """The first rows as a table, the errors by column, and how many there are of each."""
    events, totals = answer["events"], answer["totals"]
    parts: list[RenderableType] = [Text(title, style="bold")]
    made = [event for event in events if "columns" in event]
    if made and rows:
        table = Table("event", *[_heading(one["name"]) for one in made[0]["columns"]], Column("CSV", justify="right"))
        for event in made[:_MOST_SHOWN]:
            cells = [Text(_beginning(one["value"])) for one in event["columns"]]
            table.add_row(_place(event), *cells, f"{event['csvBytes']:,} B")
        parts.append(table)
    failed = [(event, error) for event in events for error in event.get("errors", ())]
    if failed:
        errors = Table("event", "column", "reason", Column("message", overflow="fold"))
        for event, error in failed[:_MOST_SHOWN]:
            message = Text(printable(error["message"], lines=True))
            errors.add_row(_place(event), Text(error.get("column", "")), error["reason"], message)
        parts.append(errors)
    hidden = max(0, len(made) * rows - _MOST_SHOWN) + max(0, len(failed) - _MOST_SHOWN)
    more = f"; {hidden:,} lines are not shown" if hidden else ""
    parts.append(
        Text(
            f"{totals['events']:,} events: {totals['rows']:,} rows ({totals['csvBytes']:,} bytes of CSV), "
            f"{totals['errors']:,} with errors, {totals['skipped']:,} skipped{more}"
        )
    )
    return Group(*parts)


def plan_view(plan: Plan) -> RenderableType:
    """The steps with what differs, then what is left as it is."""
    lines = [line for step in plan.steps for line in _step_lines(step)]
    lines += [Text(f"  {name} is as in the file", style="dim") for name in plan.unchanged]
    lines += [Text(f"  {name} is not in the file and is left alone (--prune deletes it)") for name in plan.left_alone]
    return Group(*lines)


def plan_body(plan: Plan) -> dict[str, Any]:
    """The plan for scripts."""
    return {
        "steps": [
            {
                "action": step.action.value,
                "receiverId": step.receiver_id,
                **({} if step.export_id is None else {"exportId": step.export_id}),
                "differences": [
                    {"path": one.path, "before": one.before, "after": one.after} for one in step.differences
                ],
            }
            for step in plan.steps
        ],
        "unchanged": list(plan.unchanged),
        "leftAlone": list(plan.left_alone),
    }


def step_name(step: Step) -> str:
    """Such as `create receiver clicks`, `change export clicks/all`."""
    if step.export_id is None:
        return f"{step.action} receiver {step.receiver_id}"
    return f"{step.action} export {step.receiver_id}/{step.export_id}"


def _step_lines(step: Step) -> Iterator[Text]:
    sign, style = _SIGNS[step.action]
    yield Text(f"{sign} {step_name(step)}", style=style)
    for export in getattr(step.draft, "exports", ()):
        yield Text(f"    + export {export.export_id} into {export.mapping.table_id}", style="green")
    for difference in step.differences:
        yield from _difference_lines(difference)


def _difference_lines(difference: Difference) -> Iterator[Text]:
    path, before, after = difference.path, difference.before, difference.after
    if before is None or after is None:
        sign, style = ("+", "green") if before is None else ("-", "red")
        yield Text(f"    {sign} {path}: {after if before is None else before}", style=style)
    elif "\n" in before + after:
        yield Text(f"    {path}:")
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
        for line in list(lines)[3:]:
            yield Text(f"      {line}", style={"+": "green", "-": "red"}.get(line[:1], ""))
    else:
        yield Text(f"    {path}: {_quoted(before)} → {_quoted(after)}")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _facts(facts: Mapping[str, str]) -> Table:
    table = Table(Column(style="bold"), Column(overflow="fold"), box=None, show_header=False)
    for name, value in facts.items():
        if value:
            table.add_row(name, Text(value))
    return table


def _signature(signature: Mapping[str, Any]) -> str:
    """Its scheme, with which header where that is the receiver's to say, and which secrets."""
    header = f", header {signature['header']}" if "header" in signature else ""
    secrets = signature["fingerprints"]
    return f"{signature['scheme']}{header}, secret{'s' * (len(secrets) > 1)} {' and '.join(secrets)}"


def _value(column: Mapping[str, Any]) -> str:
    """Where a column's value comes from, for the types that do not say it."""
    text = str(column["path"] if "path" in column else column.get("template", {}).get("content", ""))
    if "defaultValue" in column:
        text += f" (default {_quoted(column['defaultValue'])})"
    return f"{text} (raw string)" if column.get("rawString") else text


def _place(event: Mapping[str, Any]) -> str:
    """Its number from 0, or partition and offset of a real one."""
    source = event.get("source")
    return str(event["index"]) if source is None else f"{source['partition']}/{source['offset']}"


def _heading(name: str) -> Column:
    return Column(Text(name), overflow="fold")


def _beginning(value: str) -> str:
    return printable(value) if len(value) <= _MOST_CHARACTERS else f"{printable(value[:_MOST_CHARACTERS])}…"


def _load(mapping: Mapping[str, Any]) -> str:
    return "incremental" if mapping["incremental"] else "full"


def _state(export: Mapping[str, Any]) -> str:
    """Nothing for an export that takes events as they come."""
    suspension = export.get("suspension")
    if suspension is None:
        return ""
    reason = f": {printable(suspension['reason'])}" if "reason" in suspension else ""
    return f"{suspension['state']} since {suspension['since']}{reason}"


def _conditions(conditions: Mapping[str, Any]) -> str:
    return f"{conditions['count']:,} rows, {conditions['size']} or {conditions['time']}"
