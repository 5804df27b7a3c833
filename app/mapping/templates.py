"""Whether a template may be saved: found out without evaluating it. Source: Buffer API, validation at creation.

The C++ engine finds syntax errors and unknown variables before it evaluates anything (rjsonnet looks a variable up when
it gets there). It is given a function that nobody calls, so that it never evaluates: a template could take all memory,
or abort the process that checks it. Then rjsonnet must be able to parse the template too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NoReturn

import _jsonnet
import rjsonnet

from app.mapping.tokens import Kind, tokens
from app.model.errors import BadRequest

_FUNCTION = "function(Ip, Now, HeaderStr, Header, BodyStr, Body)\n"
"""Its arguments are missing, so it is not called at the top level either."""
_STATIC = "STATIC ERROR: "
_AT = re.compile(r"template:(?:\((\d+):(\d+)\)-\((\d+):(\d+)\)|(\d+):(\d+(?:-\d+)?)):? *")


@lru_cache(maxsize=1000)
def check_template(source: str) -> None:
    """Raise BadRequest when the template can never be evaluated: "<line>:<columns> <what is wrong>.".

    Syntax, unknown variables and imports are checked; a call with wrong arguments fails event by event. Templates that
    passed are remembered, because a check takes 36 ms and a PATCH repeats most of what was there.

    >>> check_template("Body('a') + ':' + Header('X-Id', 'none')")
    >>> check_template("invalid")
    Traceback (most recent call last):
    app.model.errors.BadRequest: 1:1-8 Unknown variable: invalid.
    """
    try:
        _jsonnet.evaluate_snippet("template", f"{_FUNCTION}{source}", max_stack=1, import_callback=_no_import)
    except RuntimeError as error:
        if str(error).startswith(_STATIC):
            raise BadRequest(_placed(str(error).removeprefix(_STATIC))) from None
    except ValueError as error:
        raise BadRequest(f"1:1 A template is text without NUL and half characters: {error}.") from None
    _check_imports(source)
    try:
        rjsonnet.evaluate_snippet("template", f"local row() = (\n{source}\n); 1")
    except RuntimeError as error:
        message, _, place = str(error).partition("\n    ")
        raise BadRequest(_placed(f"{place} {message}")) from None


def _placed(message: str) -> str:
    """The message with the template's own line numbers: the source begins on the second line of what was checked."""
    text = " ".join(message.split())
    found = _AT.match(text)
    if found is None:
        return f"1:1 {text.rstrip('.')}."
    start_line, start, end_line, end, line, columns = found.groups()
    place = f"{int(line) - 1}:{columns}" if line else f"{int(start_line) - 1}:{start}-{int(end_line) - 1}:{end}"
    return f"{place} {text[found.end() :].rstrip('.')}."


def _check_imports(source: str) -> None:
    for token in tokens(source):
        if token.kind is Kind.WORD and token.text in ("import", "importstr", "importbin"):
            line = source.count("\n", 0, token.start) + 1
            column = token.start - source.rfind("\n", 0, token.start)
            raise BadRequest(f"{line}:{column}-{column + len(token.text)} Imports are not allowed.")


def _no_import(_base: str, path: str) -> NoReturn:
    raise RuntimeError(f"imports are not allowed: {path}")
