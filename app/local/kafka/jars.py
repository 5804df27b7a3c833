"""Set-up of the local broker, once per machine: `python -m app.local.kafka.jars`.

Maven copies Kafka's jars into `.local/kafka/lib`; then a first broker is started and stopped so that Java writes an
archive of Kafka's parsed classes, which halves every later start. The archive is a convenience: without it (another
Java, say) the broker starts all the same.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.local import paths
from app.local.kafka.broker import LocalBroker
from app.model.errors import ConfigurationError, StreamsError

_POM = Path(__file__).with_name("pom.xml")


def install(home: Path, progress: Progress) -> None:
    """Fetch the jars into `home`/lib and make the archive. Raises ConfigurationError that says what Maven said."""
    task = progress.add_task("Kafka: fetching its jars through Maven", total=None)
    _fetch(home, lambda jar: progress.update(task, description=f"Kafka: fetching {jar}"))
    progress.update(task, description="Kafka: starting it once, to make later starts quick")
    _archive(home)
    progress.update(
        task, description=f"Kafka: {len(list(home.glob('lib/*.jar')))} jars in {home / 'lib'}", total=1, completed=1
    )


def _fetch(home: Path, on_jar: Callable[[str], None]) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigurationError("Maven is missing: install it (Debian: apt-get install maven), then run again.")
    fresh = home / "lib.new"
    shutil.rmtree(fresh, ignore_errors=True)
    command = [maven, "-B", "-Dstyle.color=never", "-f", str(_POM), "dependency:copy-dependencies"]
    with subprocess.Popen(
        [*command, f"-DoutputDirectory={fresh}", "-DincludeScope=runtime"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line.rstrip())
            if jar := re.search(r"Downloading .*/([^/ ]+\.jar)", line):
                on_jar(jar[1])
    if process.returncode != 0:
        errors = [line for line in said if "ERROR" in line] or said
        raise ConfigurationError(f"Maven could not fetch Kafka: {errors[0] if errors else 'it said nothing'}")
    shutil.rmtree(home / "lib", ignore_errors=True)
    fresh.rename(home / "lib")


def _archive(home: Path) -> None:
    archive = home / "classes.jsa"
    archive.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as scratch, LocalBroker(Path(scratch), home=home, archive_to=archive):
        pass


def main() -> None:
    console = Console(stderr=True)
    try:
        with Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console
        ) as progress:
            install(paths.KAFKA, progress)
    except StreamsError as error:
        console.print(f"[red]{error.message}[/red]", soft_wrap=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
