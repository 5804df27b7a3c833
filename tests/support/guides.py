"""What the guides in docs/ tell people to type."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def blocks(name: str, language: str = "sh") -> list[str]:
    """The blocks of a guide in this language, in order, without the indentation of the list that they are in."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", (DOCS / name).read_text(), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


def commands(name: str, beginning: str) -> list[str]:
    """Lines of these blocks that begin so."""
    return [line for block in blocks(name) for line in block.splitlines() if line.startswith(beginning)]


def mentioned(name: str, beginning: str) -> list[str]:
    """Commands in the text that begin so."""
    return [code for code in re.findall(r"`([^`\n]+)`", (DOCS / name).read_text()) if code.startswith(beginning)]
