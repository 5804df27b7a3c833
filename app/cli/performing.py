"""What `create` and `apply` of receivers and of exports have in common: do the steps, wait, say what was done."""

from __future__ import annotations

from typing import Any

import typer

from app.cli.applying import carry_out, is_task
from app.cli.buffer import BufferApi
from app.cli.display import plan_body, plan_view, step_name
from app.cli.plan import Plan, Step
from app.cli.terminal import DIFFERENT, ask, print_answers, print_json, show, spinner, tell_waiting

_DONE = {"create": "created", "change": "changed", "delete": "deleted"}


def perform(api: BufferApi, step: Step, quiet: bool, wait: bool = True) -> dict[str, Any]:
    """Do one step and wait for its task, unless told not to; the API's last answer."""
    with spinner(f"{step_name(step)} …", quiet):
        answer = carry_out(api, step)
        if wait and is_task(answer):
            answer = api.wait(answer, say=tell_waiting)
    if not quiet:
        words = _DONE[step.action] if wait or not is_task(answer) else f"is under way: task {answer['id']}"
        typer.echo(f"{step_name(step).partition(' ')[2]} {words}")
    return answer


def create(api: BufferApi, steps: list[Step], as_json: bool, wait: bool) -> None:
    """Create each; with --json print the task, or the list of tasks when there are several."""
    tasks = [perform(api, step, as_json, wait) for step in steps]
    if as_json:
        print_answers(tasks)


def apply(api: BufferApi, plan: Plan, as_json: bool, yes: bool, dry_run: bool) -> bool:
    """Show the plan, ask, carry it out. False when nothing more is to be printed (a dry run)."""
    if not as_json:
        show(plan_view(plan))
    if dry_run:
        if as_json:
            print_json(plan_body(plan))
        if plan.steps:
            raise typer.Exit(DIFFERENT)
        return False
    if not plan.steps:
        if not as_json:
            typer.echo("Nothing to do.")
        return True
    count = len(plan.steps)
    ask(f"Do {'this step' if count == 1 else f'these {count} steps'}?", yes)
    for step in plan.steps:
        perform(api, step, as_json)
    return True
