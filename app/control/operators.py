"""Waiting for the operators, where topics are theirs (STREAMS_TOPICS=managed): a receiver whose topic is not there yet.

Nothing is made in Storage before the topic is there. Meanwhile the task says what it waits for, so whoever asked for
the receiver sees what the operators have to do, and the task goes on by itself when it is done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from app.control.patience import StepFailed
from app.control.records import control_records
from app.control.run import Run
from app.kafka.plan import check_topics, receiver_topic
from app.kafka.topic_spec import Difference
from app.model.errors import KafkaUnavailable

LOOK_SECONDS = 1.0
"""Between two looks at Kafka."""
_log = logging.getLogger(__name__)


def what_to_do(project_id: str, receiver_id: str, problems: list[Difference]) -> str:
    """What the operators have to do for a receiver, in words for the user of its task."""
    topic = f"topic {problems[0].topic} {'; '.join(problem.text for problem in problems)}"
    return (
        f"Topics are the operators' here (STREAMS_TOPICS=managed), and {topic}. "
        f"`streams topics export --format kafka-topics --receiver {project_id}/{receiver_id}` prints what to "
        "create."
    )


async def until_topic_is_there(run: Run) -> None:
    """Return when the receiver's topic is as it must be; at once where we make topics ourselves.

    Raises StepFailed with what is missing after STREAMS_TOPIC_WAIT_SECONDS, counted from the task's beginning, and
    Closed when another process goes on.
    """
    settings = run.around.settings
    if settings.topics != "managed" or run.progress is not None:
        return
    task = run.task
    told = task.result
    while (words := await _why_not(run)) is not None:
        if time.time() > task.created_ms / 1000 + settings.topic_wait_seconds:
            raise StepFailed(words, 504)
        if words != told:
            told = words
            _log.warning("task %s waits: %s", task.task_id, words)
            await _say(run, words)
        await run.log.check_ours()
        await asyncio.sleep(LOOK_SECONDS)
    if told is not None:
        await _say(run, None)
    run.begin_to_make()


async def _why_not(run: Run) -> str | None:
    """What the topic lacks, or why that is not known; None when nothing."""
    wanted = receiver_topic(run.around.settings, run.topic)
    try:
        found = await asyncio.to_thread(check_topics, run.around.admin, run.around.settings, [wanted])
    except KafkaUnavailable as trouble:
        return trouble.message
    problems = [difference for difference in found if difference.must_be_mended]
    if problems:
        return what_to_do(run.task.project_id, run.task.receiver_id, problems)
    for difference in found:
        _log.warning("topic %s %s", difference.topic, difference.text)
    return None


async def _say(run: Run, words: str | None) -> None:
    """As the result of a task that has none yet; its end replaces it."""
    await run.log.transact(lambda: control_records(run.log.names, [replace(run.task, result=words)]))
