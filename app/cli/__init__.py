"""The `streams` command, one module per group of subcommands; errors that a person can mend end in one line.

Nothing heavy is imported here: each command imports what it needs when it is called.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer

from app.cli.batches import batches
from app.cli.connectors import connectors
from app.cli.dead_letters import dead_letters
from app.cli.exports import exports
from app.cli.local import local
from app.cli.processes import add_processes
from app.cli.receivers import receivers
from app.cli.replays import replays
from app.cli.tasks import tasks, tokens
from app.cli.topics import topics
from app.cli.trying import try_
from app.model.errors import ConfigurationError, StreamsError

# What the system says when a disk is full, read-only or not ours: for the user to mend, anywhere.
_MENDABLE = (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM)

app = typer.Typer(
    name="streams",
    help="Gets events into Keboola tables through Kafka, each exactly once.\n\n"
    "Try it on this machine: `streams local up --demo`. On servers run `gateway`, `control`, `mapper` and `sink`, each "
    "as often as you like, with the same STREAMS_* settings (from the environment or a .env file).",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="STREAMS_DEBUG", help="Show where an error came from.")
    ] = False,
) -> None:
    if debug:
        os.environ["STREAMS_DEBUG"] = "1"


@app.command()
def key() -> None:
    """Print a new key for STREAMS_ENCRYPTION_KEY.

    Give the same key to every process. To change it, put the new one first and keep the old one behind it, separated
    by a comma, as long as the control log holds secrets that were encrypted with it.
    """
    from app.model.cipher import Cipher

    typer.echo(Cipher.new_key())


app.command("try")(try_)
add_processes(app)
_PANEL = "What the Buffer API keeps"
app.add_typer(receivers, name="receivers", rich_help_panel=_PANEL)
app.add_typer(exports, name="exports", rich_help_panel=_PANEL)
app.add_typer(tasks, name="tasks", rich_help_panel=_PANEL)
app.add_typer(tokens, name="tokens", rich_help_panel=_PANEL)
app.add_typer(batches, name="batches", rich_help_panel=_PANEL)
app.add_typer(dead_letters, name="dead-letters", rich_help_panel=_PANEL)
app.add_typer(replays, name="replay", rich_help_panel=_PANEL)
app.add_typer(topics, name="topics")
app.add_typer(connectors, name="connectors")
app.add_typer(local, name="local")


def main() -> None:
    """Run the command line; the exit code is the error's."""
    try:
        app()
    except StreamsError as error:
        if os.environ.get("STREAMS_DEBUG"):
            raise
        _fail(error.message, error.exit_code)
    except OSError as error:
        if os.environ.get("STREAMS_DEBUG") or error.errno not in _MENDABLE:
            raise
        _fail(f"{error.strerror}: {error.filename or 'while writing'}", ConfigurationError.exit_code)


def _fail(message: str, exit_code: int) -> NoReturn:
    typer.secho(message, fg="red", err=True)
    sys.exit(exit_code)
