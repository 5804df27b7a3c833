"""The engines' messages in one form: no prefix, no stack trace (positions there are those of our snippet)."""

from __future__ import annotations

import re

MAX_STACK = 500
TOO_DEEP = (
    f"max stack frames exceeded: the template calls itself, or its value is nested, deeper than {MAX_STACK} frames"
)
_PREFIX = re.compile(r"\A(?:runtime error: |RUNTIME ERROR: |STATIC ERROR: )")
_DEPTH = re.compile(_PREFIX.pattern + "?(?:stack overflow|max stack frames exceeded)")
_TRACE = re.compile(r"(?:\n(?: {4}|\t)[^\n]*)*\n?\Z")
_IMPORT = re.compile(r'imports are not allowed: ".*"', re.DOTALL)
_WORDS = {
    "assert failed: null": "Assertion failed.",
    "Object assertion failed.": "Assertion failed.",
    "couldn't manifest function in JSON output.": "tried to manifest function",
}
"""One engine's words for what the other says too."""
_ASSERT = re.compile(r"\Aassert failed: ")


def tidied(text: str) -> str:
    r"""What an engine says of a failure, for people.

    >>> tidied("runtime error: x\n    template:1:42-52: error statement")
    'x'
    >>> tidied("RUNTIME ERROR: x\n\ttemplate:1:42-51\t\n")
    'x'
    """
    if _DEPTH.match(text):
        return TOO_DEEP  # without a look at its trace, which is long
    message = _PREFIX.sub("", _TRACE.sub("", text))
    refused = _IMPORT.search(message)
    if refused and message.startswith(("import_callback error", "couldn't open import")):
        return refused[0]
    return _WORDS.get(message) or _ASSERT.sub("", message)
