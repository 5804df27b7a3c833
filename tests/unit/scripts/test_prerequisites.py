"""The check of what a machine must have, run with a PATH that lacks some of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ("bash", "sed", "paste", "dirname", "id", "env")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder for PATH with the tools of any system, and neither apt-get nor what we ask for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None, f"{tool} is part of every system"
        (folder / tool).symlink_to(found)
    return folder


def program(folder: Path, name: str, says: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    (folder / name).chmod(0o755)


def check(path: Path, *needs: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "scripts" / "prerequisites"), *needs],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_machine_that_has_everything_hears_nothing(bare: Path) -> None:
    program(bare, "java", 'openjdk version "21.0.2" 2024-01-16')
    program(bare, "mvn", "Apache Maven 3.9")

    done = check(bare, "java", "maven")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_everything_missing_is_one_line_that_says_how_to_get_it(bare: Path) -> None:
    done = check(bare, "python", "java", "maven")

    assert done.returncode == 2
    assert done.stderr == (
        "Missing: Python 3.11 or newer with venv, Java 17 or newer (a JDK), Maven. Install what is missing "
        "(Debian, Ubuntu: sudo apt-get install python3-venv default-jdk-headless maven; "
        "macOS: brew install python openjdk maven), then run this again.\n"
    )


@pytest.mark.parametrize("version", ['java version "1.8.0_402"', 'openjdk version "16.0.2"', "Unable to locate a Java"])
def test_java_that_is_too_old_counts_as_missing(bare: Path, version: str) -> None:
    program(bare, "java", version)

    done = check(bare, "java")

    assert done.returncode == 2
    assert done.stderr.startswith("Missing: Java 17 or newer (a JDK). ")
    assert "default-jdk-headless;" in done.stderr
    assert "maven" not in done.stderr


def test_browser_that_is_missing_is_named(bare: Path) -> None:
    done = check(bare, "curl", "chromium")

    assert done.returncode == 2
    assert done.stderr == (
        "Missing: curl, Chromium. Install what is missing (Debian, Ubuntu: sudo apt-get install curl chromium; "
        "macOS: brew install curl chromium), then run this again.\n"
    )


def test_root_on_debian_gets_what_is_missing_by_apt(bare: Path) -> None:
    (bare / "id").unlink()
    (bare / "id").write_text("#!/bin/sh\necho 0\n")
    (bare / "id").chmod(0o755)
    for tool in ("mktemp", "rm", "chmod", "grep"):
        (bare / tool).symlink_to(str(shutil.which(tool)))
    apt = f"""#!/bin/sh
if [ "$1" = install ]; then
    echo "$*" > {bare}/asked
    printf '#!/bin/sh\\n' > {bare}/mvn && chmod +x {bare}/mvn
fi
"""
    (bare / "apt-get").write_text(apt)
    (bare / "apt-get").chmod(0o755)

    done = check(bare, "maven")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Installing by apt: maven\n"
    assert (bare / "asked").read_text() == "install -y --no-install-recommends maven\n"
