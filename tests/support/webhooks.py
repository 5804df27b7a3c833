"""Real webhook payloads: GitHub's, as collected in an npm package. Fetched once, kept in .local, never committed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "@octokit/webhooks-examples@7.6.1"
SHA256 = "89e6cb1c6345d32e3dd775617fa54effbdc26c859e514898d7728e95e9738280"
_KEPT = ROOT / ".local" / "webhooks" / "octokit-webhooks-examples-7.6.1.tgz"


def payloads() -> list[bytes]:
    """Bodies as a sender would post them, in the package's order: some 300 of 1 to 30 KB."""
    if not _KEPT.exists():
        _fetch()
    assert hashlib.sha256(_KEPT.read_bytes()).hexdigest() == SHA256
    with tarfile.open(_KEPT) as package:
        member = package.extractfile("package/api.github.com/index.json")
        assert member is not None
        kinds = json.load(member)
    return [json.dumps(example, ensure_ascii=False).encode() for kind in kinds for example in kind["examples"]]


def _fetch() -> None:
    subprocess.run([ROOT / "scripts" / "prerequisites", "npm"], check=True)
    _KEPT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_KEPT.parent) as folder:
        command = ["npm", "pack", PACKAGE, "--silent", "--pack-destination", folder]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        # Whole or not at all, for whoever fetches at the same time.
        next(Path(folder).glob("*.tgz")).replace(_KEPT)
