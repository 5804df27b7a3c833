"""The API put together."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app.api import batches, dead_letters, exports, index, receivers, replays, tasks, trying
from app.api.auth import TokenVerifier
from app.api.commands import CommandSender
from app.api.context import Context
from app.api.documentation import install_documentation
from app.api.errors import install_errors
from app.api.http import AnswerOptions, AssumeJson, BodyLimit, CrashAnswer, RequestId
from app.api.openapi import operation_id
from app.api.reads import Reads
from app.api.running import RunningTasks
from app.api.samples import Samples
from app.api.trials import Trials
from app.kafka.batches import BatchReader
from app.kafka.dead_letters import DeadLetterReader
from app.kafka.view import ControlView
from app.model.cipher import Cipher
from app.settings import Settings


def create_api(settings: Settings, view: ControlView, commands: CommandSender, trials: Trials) -> FastAPI:
    """The API on a view that has started and a sender that is open; both stay the caller's to close, and
    `trials` to tend.

    Call it on the view's event loop. Raises ConfigurationError without an encryption key.
    """
    api = FastAPI(
        title="Data Streams: Buffer API",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        strict_content_type=False,
        generate_unique_id_function=operation_id,
    )
    reads = Reads(settings.max_kafka_reads)
    api.state.context = Context(
        settings,
        view,
        commands,
        RunningTasks(view),
        TokenVerifier(settings),
        Cipher(settings.encryption_key),
        DeadLetterReader(settings),
        BatchReader(settings),
        reads,
        trials,
        Samples(settings, reads),
    )
    install_errors(api)
    api.add_middleware(AssumeJson)
    api.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    api.add_middleware(CrashAnswer)
    api.add_middleware(AnswerOptions)
    api.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=["Content-Type", "X-StorageApi-Token"],
        expose_headers=["X-Request-Id", "Retry-After"],
    )
    api.add_middleware(RequestId)
    api.state.routes = []
    for module in (receivers, exports, trying, dead_letters, batches, replays, tasks, index):
        api.include_router(module.router)
        api.state.routes += module.router.routes
    install_documentation(api, settings)
    return api
