"""The alert rules by Prometheus' own tool: they are well formed, and fire when they should."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

DEPLOYED = Path(__file__).resolve().parents[3] / "deploy/prometheus"
pytestmark = pytest.mark.long  # its tool is a package of 100 MB


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, cwd=DEPLOYED)
    assert done.returncode == 0, done.stdout + done.stderr


def test_configuration_and_rules_are_well_formed() -> None:
    promtool("check", "config", "prometheus.yml")


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    given = Path(__file__).with_name("alerts.test.yml").read_text()
    tests = tmp_path / "alerts.test.yml"
    forever = " ".join(["+Inf"] * 4000)
    tests.write_text(given.replace("ALERTS", str(DEPLOYED / "alerts.yml")).replace("FOREVER", forever))

    promtool("test", "rules", str(tests))
