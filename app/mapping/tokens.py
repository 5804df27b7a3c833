"""Jsonnet source as tokens: enough to find imports, plain calls and plans without parsing the language.

Comments and white space are left out. What may not be a token of Jsonnet at all is one character of kind OTHER; whether
a source is valid is for the engines to say.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<skipped>[ \t\r\n]+ | //[^\n]* | \#[^\n]* | /\*.*?\*/)
  | (?P<string>
        @"(?:[^"]|"")*" | @'(?:[^']|'')*'
      | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'
      | \|\|\|-?[ \t\r]*\n\n*(?P<indent>[ \t]+).*?\n(?!(?P=indent))[ \t]*\|\|\|
    )
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>[0-9][0-9A-Za-z_.]*)
  | (?P<other>.)
    """,
    re.DOTALL | re.VERBOSE,
)
_PLAIN_STRING = re.compile(r"\"[^\"\\]*\"|'[^'\\]*'")
_PLAIN_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")
_CONSTANTS: dict[str, Any] = {"null": None, "true": True, "false": False}


class Kind(StrEnum):
    STRING = "string"
    WORD = "word"
    NUMBER = "number"
    OTHER = "other"
    END = "end"


class Token(NamedTuple):
    """A piece of the source, from `start` to before `end`; words include Jsonnet's keywords."""

    kind: Kind
    text: str
    start: int
    end: int


class NotPlain(Exception):
    """A literal that is not taken without the engine."""


def tokens(source: str) -> list[Token]:
    """The tokens in order, an empty one of kind END last.

    >>> [token.text for token in tokens("Body('a') // the 'a'")]
    ['Body', '(', "'a'", ')', '']
    """
    found = [
        Token(Kind(match.lastgroup or ""), match[0], match.start(), match.end())
        for match in _TOKEN.finditer(source)
        if match.lastgroup != "skipped"
    ]
    return [*found, Token(Kind.END, "", len(source), len(source))]


def literal(token: Token) -> Any:
    """The value of a plain literal: a string without escapes, a whole number of at most 15 digits, a constant.

    Raises NotPlain for anything else.

    >>> literal(tokens("'a b'")[0]), literal(tokens("12")[0]), literal(tokens("null")[0])
    ('a b', 12, None)
    """
    if token.kind is Kind.STRING and _PLAIN_STRING.fullmatch(token.text):
        return token.text[1:-1]
    if token.kind is Kind.NUMBER and _PLAIN_NUMBER.fullmatch(token.text):
        return int(token.text)
    if token.kind is Kind.WORD and token.text in _CONSTANTS:
        return _CONSTANTS[token.text]
    raise NotPlain(token.text)
