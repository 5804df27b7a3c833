"""Where the library is found that shows a process another time of day."""

from __future__ import annotations

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "faketime-library"


def look(library: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "FAKETIME_LIBRARY": str(library)}
    return subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, check=False)


def test_library_that_the_environment_names_is_taken(tmp_path: Path) -> None:
    library = tmp_path / "libfaketime.so"
    library.touch()

    found = look(library)

    assert (found.returncode, found.stdout) == (0, f"{library}\n")


def test_named_library_that_is_not_there_is_said(tmp_path: Path) -> None:
    found = look(tmp_path / "gone.so")

    assert (found.returncode, found.stdout) == (1, "")
    assert f"FAKETIME_LIBRARY names {tmp_path / 'gone.so'}, which is not there." in found.stderr
