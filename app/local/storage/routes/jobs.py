"""Jobs: detail and list. The list knows the filters that Storage's has: status, times, limit, offset; no run id."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.local.storage.errors import denied, invalid
from app.local.storage.routes.call import Answer, Call
from app.local.storage.scopes import may_see_job
from app.local.storage.views import job_view

DEFAULT_JOBS = 20
MAX_JOBS = 1000
_TIMES = {"created_time": "created", "start_time": "started", "end_time": "ended"}


def detail(call: Call) -> Answer:
    """Describe a job."""
    job = call.job()
    if not may_see_job(call.token, job):
        raise denied()
    return Answer(200, job_view(job, call.storage.url))


def index(call: Call) -> Answer:
    """List the jobs that the token may see, newest first."""
    params = call.params
    where: list[tuple[str, Any]] = []
    if not call.token.can_manage_tokens:
        where.append(("token_id = ?", call.token.id))
    statuses = params.array("storage_job_status")
    if statuses:
        where.append(("instr(?, '|' || status || '|') > 0", f"|{'|'.join(map(str, statuses))}|"))
    excluded = params.array("excluded_storage_job_status")
    if excluded:
        where.append(("instr(?, '|' || status || '|') = 0", f"|{'|'.join(map(str, excluded))}|"))
    for name, column in _TIMES.items():
        for suffix, comparison in (("", "="), ("_from", ">="), ("_to", "<=")):
            text = params.text(name + suffix)
            if text:
                where.append((f"CAST({column} AS INTEGER) {comparison} ?", int(_time(name + suffix, text).timestamp())))
    limit = params.number("limit", DEFAULT_JOBS, least=1, most=MAX_JOBS)
    jobs = call.storage.metadata.jobs(where, limit, params.number("offset", 0))
    return Answer(200, [job_view(job, call.storage.url) for job in jobs])


def _time(name: str, text: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(text), UTC) if text.isdigit() else _aware(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise invalid(f"Invalid request: {name}: {text!r} is neither ISO 8601 nor a Unix time.") from error


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
