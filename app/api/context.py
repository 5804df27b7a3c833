"""What the routes work with, made once per API and handed to them by FastAPI; nothing is global."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from app.api.auth import Caller, TokenVerifier
from app.api.commands import CommandSender
from app.api.limits import Limits
from app.api.reads import Reads
from app.api.running import RunningTasks
from app.api.samples import Samples
from app.api.trials import Trials
from app.kafka.batches import BatchReader
from app.kafka.dead_letters import DeadLetterReader
from app.kafka.view import ControlView
from app.model.catalog import Catalog
from app.model.cipher import Cipher
from app.settings import Settings


@dataclass(frozen=True)
class Context:
    settings: Settings
    view: ControlView
    commands: CommandSender
    running: RunningTasks
    tokens: TokenVerifier
    cipher: Cipher
    letters: DeadLetterReader
    batches: BatchReader
    reads: Reads
    trials: Trials
    samples: Samples

    @property
    def catalog(self) -> Catalog:
        return self.view.catalog

    @property
    def limits(self) -> Limits:
        return Limits.of(self.settings)

    async def enter(self, token_header: str) -> Caller:
        """Begin a request: verify the token, then wait until the view has all that was written before.

        So what a task has finished is seen by the next request on any gateway. Called in the route and not as a
        dependency, because the body is validated first (Buffer API, conventions).
        """
        caller = await self.tokens.identify(token_header)
        await self.view.caught_up()
        return caller


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


InContext = Annotated[Context, Depends(_context)]
TokenHeader = Annotated[str, Header(alias="X-StorageApi-Token")]
