"""How commands that speak to the API talk to a person or a script: options, spinner, questions, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.table import Column

from app.model.errors import ConfigurationError
from app.settings import load_settings

if TYPE_CHECKING:
    from app.cli.buffer import BufferApi

Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Where the API is. By default STREAMS_PUBLIC_ADDRESS, or the local stack that runs.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's answer, for scripts.")]
File = Annotated[
    str,
    typer.Option(
        "--file", "-f", help="YAML or JSON, one document or several; - is standard input.", show_default=False
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Give the task at once instead of waiting for its end.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only show the difference; ends with 3 when there is one, else with 0.")
]
Prune = Annotated[bool, typer.Option("--prune", help="Delete exports that the file does not name.")]
Discard = Annotated[bool, typer.Option("--discard", help="Drop what was accepted and is not imported yet.")]

DIFFERENT = 3
"""What `apply --dry-run` ends with when there is something to do."""


def api(address: str | None) -> BufferApi:
    """The API that the options and settings name."""
    from app.cli.buffer import connect

    return connect(load_settings(), address)


def show(view: RenderableType, *, error: bool = False) -> None:
    Console(stderr=error).print(view)


def id_column(ids: Iterable[str]) -> Column:
    """A column whose ids are whole on the narrowest terminal: they are what other commands ask for."""
    return Column("id", min_width=max(map(len, ids), default=0))


def printable(text: str, lines: bool = False) -> str:
    r"""The text with all that a terminal would obey as escapes; `lines` keeps ends of lines and tabs.

    >>> print(printable("é\x1b[31m\n\u202e", lines=False))
    é\x1b[31m\n\u202e
    """
    kept = "\n\t" if lines else ""
    return "".join(one if one.isprintable() or one in kept else repr(one)[1:-1] for one in text)


def print_json(answer: Any) -> None:
    """One document on standard output, without what a terminal would obey."""
    from app.mapping.cells import escape_controls

    typer.echo(escape_controls(json.dumps(answer, indent=2, ensure_ascii=False)))


def print_answers(answers: Sequence[Any]) -> None:
    """The only one as itself, several as a list."""
    print_json(answers[0] if len(answers) == 1 else answers)


def give_list(
    answer: Any, key: str, table: Callable[[Sequence[Any]], RenderableType], if_empty: str, as_json: bool
) -> None:
    """What an answer of the API lists under this key, as it is or as a table; `if_empty` says that there is nothing."""
    if as_json:
        print_json(answer)
    elif answer[key]:
        show(table(answer[key]))
    else:
        typer.echo(if_empty)


def give(answer: Any, view: Callable[[Any], RenderableType], as_json: bool) -> None:
    """An answer of the API, as it is or as `view` shows it."""
    if as_json:
        print_json(answer)
    else:
        show(view(answer))


def warn(warnings: Iterable[str]) -> None:
    """On standard error, so that a script's JSON stays one document."""
    for warning in warnings:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)


def spinner(text: str, quiet: bool = False) -> AbstractContextManager[Any]:
    """Turns on standard error while something is waited for; nothing when that is no terminal."""
    console = Console(stderr=True)
    return nullcontext() if quiet or not console.is_terminal else console.status(text)


def tell_waiting(words: str) -> None:
    """What a task waits for, for a person to do something about it."""
    typer.secho(f"waiting: {words}", fg="yellow", err=True)


def ask(question: str, yes: bool) -> None:
    """Go on only when the person says so; raises typer.Abort. A script must say --yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{question} Nobody can be asked here (no terminal): add --yes to do it.")
    typer.confirm(question, abort=True, err=True)
