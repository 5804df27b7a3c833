"""`python -m chaos --seed N --minutes M`: one long chaos run, with a line for whatever happens."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from chaos.plan import LONG, SHORT
from chaos.run import Options, Report, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description="Load and faults on a whole installation.")
    parser.add_argument("--seed", type=int, default=None, help="of the plan and the load (default: by chance)")
    parser.add_argument("--minutes", type=float, default=10, help="of faults (default %(default)s)")
    parser.add_argument("--folder", type=Path, default=None, help="for data and logs (default: a new one)")
    parser.add_argument(
        "--short", action="store_true", help="faults as dense and short as in the short run of the tests"
    )
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    folder = given.folder or Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    out = sys.stdout

    def tell(line: str) -> None:
        out.write(line + "\n")
        out.flush()

    tell(f"seed {seed}, {given.minutes:g} minutes of faults; data and logs in {folder}")
    options = Options(seed, given.minutes * 60, folder, SHORT if given.short else LONG)
    report = asyncio.run(run(options, tell))
    for line in summary(report):
        tell(line)
    if report.problems:
        tell(
            f"Run it again: make chaos SEED={seed} MINUTES={given.minutes:g}\nThe logs of the processes are in {folder}"
        )
    return 1 if report.problems else 0


def summary(report: Report) -> list[str]:
    """A run in some lines."""
    answers = ", ".join(f"{how} {n}" for (phase, how), n in sorted(report.answers.items()) if phase == "chaos")
    return [
        f"{report.events} events sent, {report.acknowledged} acknowledged: "
        f"{report.rows} rows, {report.letters} dead letters",
        "faults: " + ", ".join(f"{kind} {n}" for kind, n in sorted(report.faults.items())),
        f"answers: {answers}",
        f"changes of a mapping: {dict(report.changes)}",
        *(f"ended of itself: {e.name} with {e.code}: {e.words[-200:]}" for e in report.of_itself),
        *(f"PROBLEM {problem}" for problem in report.problems),
        "not as promised" if report.problems else "all as promised",
    ]


if __name__ == "__main__":
    sys.exit(main())
