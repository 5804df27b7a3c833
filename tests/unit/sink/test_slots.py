"""How many imports are under way: one a table, so many a project."""

from __future__ import annotations

import asyncio
import gc

from app.sink.slots import ImportSlot, ImportSlots


class Project:
    """Says how many jobs it runs, and how often it was asked."""

    def __init__(self, jobs: int | None) -> None:
        self.jobs, self.asked = jobs, 0

    async def limit(self) -> int | None:
        self.asked += 1
        return self.jobs


async def acquired(*slots: ImportSlot) -> list[bool]:
    """Which of these get their permit now, if all ask in this order."""
    tasks = [asyncio.create_task(slot.acquire()) for slot in slots]
    for _ in range(20):
        await asyncio.sleep(0)
    got = [task.done() for task in tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return got


async def test_table_has_one_import_at_a_time_and_who_waits_for_it_holds_no_place() -> None:
    slots, project = ImportSlots(2), Project(10)
    first, second = slots.slot("1", "t", project.limit), slots.slot("1", "t", project.limit)
    other = slots.slot("1", "u", project.limit)

    got = await acquired(first, second, other)
    first.release()

    assert got == [True, False, True]
    assert await acquired(second) == [True]


async def test_project_has_as_many_imports_as_it_runs_jobs() -> None:
    slots, project = ImportSlots(8), Project(2)
    claims = [slots.slot("1", f"t{number}", project.limit) for number in range(3)]

    got = await acquired(*claims)
    claims[0].release()
    claims[0].release()

    assert got == [True, True, False]
    assert await acquired(claims[2], slots.slot("1", "x", project.limit)) == [True, False]
    assert project.asked == 1


async def test_our_own_bound_holds_where_it_is_lower_and_where_the_projects_is_not_known() -> None:
    for jobs in (10, None):
        slots, project = ImportSlots(1), Project(jobs)

        assert await acquired(*(slots.slot("1", f"t{n}", project.limit) for n in range(2))) == [True, False]


async def test_project_whose_limit_was_not_known_is_asked_again() -> None:
    slots, project = ImportSlots(8), Project(None)
    unsure = slots.slot("1", "t", project.limit)
    await unsure.acquire()
    project.jobs = 1

    got = await acquired(*(slots.slot("1", table, project.limit) for table in ("u", "v")))
    unsure.release()

    assert got == [True, False]
    assert project.asked == 2


async def test_table_is_remembered_as_long_as_somebody_imports_into_it() -> None:
    slots, project = ImportSlots(8), Project(8)
    first, second = slots.slot("1", "t", project.limit), slots.slot("1", "t", project.limit)
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    first.release()
    del first
    await waiting
    remembered = list(slots._tables)
    second.release()
    del second, waiting
    gc.collect()

    assert (remembered, list(slots._tables)) == ([("1", "t")], [])
