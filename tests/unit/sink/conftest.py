"""Lets the tests of this folder import the model beside them, as it does itself when it is run as a program."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
