"""Templates and events by chance, for tests that compare ways to evaluate.

Engines print non-integral numbers differently, so no text that may hold one is looked into (its length, its parts, its
order): such expressions stand where values end up, in fields, items, operands of "+" and branches. Nor is there
U+0000, which the C++ engine loses where a text is taken apart.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

NAMES = ["a", "b", "c", "id-x"]
PATHS = ["a", "b", "c", "a.b", "b.a.c", "c[0]", "c[1].a", "c[0][1]", "nope", "[0]", "a.", ".", "", "c[9]", "id-x"]
TEXTS = ["", "x", "a b", " é\t", "ab,cd,,", "x00", "ü"]
FORMATS = ["%Y-%m-%d", "%H:%M:%S.%f", "%c", "%s", "%", "100%%", ""]


def _quoted(text: str) -> str:
    return f"'{text}'" if "\\" in text or '"' in text else f'"{text}"'


texts = st.sampled_from(TEXTS).map(_quoted)
small_numbers = st.sampled_from(["0", "1", "-1", "2", "7", "100"])
numbers = st.one_of(small_numbers, st.sampled_from(["1.5", "-0", "0.1", "1e21", "9007199254740993", "123456789012345"]))
words = st.sampled_from(["null", "true", "false"])
scalars = st.one_of(texts, numbers, words)


@st.composite
def _call(draw: DrawFn, plain: bool) -> str:
    """A call of a global; `plain` with literal arguments alone, as a direct plan has them."""
    default = (
        scalars if plain else st.one_of(scalars, st.sampled_from(["[]", "{d: 1.5}", "[1, 'x']", "error 'own: d'"]))
    )
    path = _quoted(draw(st.sampled_from(PATHS)))
    name = _quoted(draw(st.sampled_from(["x-id", "X-NONE", "content-type", "x-empty", "x-é", ""])))
    format = _quoted(draw(st.sampled_from(FORMATS)))
    return draw(
        st.one_of(
            st.sampled_from(["Body()", "Ip()", "Now()", "HeaderStr()", "BodyStr()", "Header()"]),
            st.just(f"Body({path})"),
            st.just(f"Body({path})"),
            default.map(lambda d: f"Body({path}, {d})"),
            default.map(lambda d: f"Body(default={d}, path={path})"),
            st.just(f"Header({name})"),
            default.map(lambda d: f"Header({name}, default = {d})"),
            st.just(f"Now({format})"),
            st.just(f"Now(format={format})"),
        )
    )


sums = st.lists(st.one_of(_call(True), _call(True), scalars), min_size=1, max_size=4).map(" + ".join)
fields = st.lists(
    st.tuples(st.sampled_from(["id", "ip", "'a b'", '"é"', "z", "B", "Body"]), sums),
    min_size=1,
    max_size=4,
    unique_by=lambda f: f[0],
)
objects_of_calls = st.tuples(fields, st.sampled_from(["", ","])).map(
    lambda given: "{ " + ", ".join(f"{name}: {value}" for name, value in given[0]) + given[1] + " }"
)
plans: SearchStrategy[str] = st.one_of(sums, objects_of_calls)
"""Templates that are one call, a sum of calls and literals, or an object of such."""

# What may be looked into: values in which no number has been printed.
leaves = st.one_of(_call(False), _call(True), scalars)
TEXT_CALLS = [
    "std.length({0})", "std.asciiUpper({0})", "std.asciiLower({0})", "std.stringChars(std.toString({0}))",
    "std.trim({0})",
    "std.stripChars({0}, ' x')", "std.lstripChars({0}, '0')", "std.rstripChars({0}, ',')", "std.substr({0}, 1, 2)",
    "std.split({0}, ',')", "std.splitLimit({0}, ',', 1)", "std.startsWith({0}, 'a')", "std.endsWith({0}, 'd')",
    "std.strReplace({0}, 'b', 'xx')", "std.findSubstr('b', {0})", "std.codepoint({0})", "std.parseInt('12' + {0})",
    "std.parseJson({0})", "std.base64({0})", "std.md5({0})", "std.sha1({0})", "std.sha256({0})", "std.isEmpty({0})",
    "std.escapeStringJson(std.toString({0}))", "std.escapeStringPython(std.toString({0}))",
    "std.escapeStringBash({0})", "std.escapeStringXML({0})",
    "std.encodeUTF8({0})", "std.equalsIgnoreCase({0}, 'X')", "std.reverse({0})", "std.repeat({0}, 2)",
    "({0})[0]", "({0})[1:]", "'b' in {{b: {0}}}",
]  # fmt: skip
ANY_CALLS = [
    "std.type({0})", "std.isString({0})", "std.isNumber({0})", "std.isObject({0})", "std.isArray({0})",
    "std.isBoolean({0})", "std.isNull({0})", "({0} == null)", "({0} == {0})", "({0} != 'x')", "!({0})", "-({0})",
    "std.isInteger({0})", "std.isEven({0})", "std.length({0})", "({0}).b", "({0})['a']", "std.objectFields({0})",
    "std.objectHas({0}, 'a')", "std.get({0}, 'a', 'none')", "std.objectValues({0})", "std.prune({0})",
    "std.flattenDeepArray({0})", "std.mergePatch({0}, {{a: null, z: 1}})", "std.objectRemoveKey({0}, 'a')",
    "std.objectKeysValues({0})", "std.mapWithKey(function(k, v) k, {0})", "std.sort({0})", "std.set({0})",
    "std.uniq({0})", "std.filter(function(x) x != null, {0})", "std.map(function(x) [x], {0})", "std.count({0}, null)",
    "std.member({0}, 'a')", "std.find('a', {0})", "std.flattenArrays([{0}, []])", "std.join([null], [{0}, {0}])",
    "std.foldl(function(n, x) n + 1, {0}, 0)", "std.foldr(function(x, n) n + 1, {0}, 0)", "std.any({0})",
    "std.remove({0}, 'a')", "std.removeAt([{0}], 0)", "std.slice({0}, 0, 2, 1)", "std.contains({0}, 'a')",
    "std.makeArray(2, function(i) {0})", "std.assertEqual({0}, {0})", "std.primitiveEquals({0}, 'x')",
]  # fmt: skip
NUMBER_CALLS = [
    "std.abs({0})", "std.sign({0})", "std.floor({0})", "std.ceil({0})", "std.round({0})", "std.max({0}, 1)",
    "std.min({0}, 1)", "std.clamp({0}, 0, 2)", "std.sqrt({0})", "std.exponent({0})", "std.mantissa({0})",
    "std.log2({0})", "std.log10({0})", "std.hypot({0}, 1)", "std.pow({0}, 2)", "std.mod({0}, 3)", "({0} * 2)",
    "({0} - 1)", "({0} / 4)", "({0} % 3)", "({0} < 2)", "(std.length({0}) & 3)",
    "(std.length({0}) ^ 5)", "~(std.length({0}))",
    "std.atan2({0}, 1)", "std.deg2rad({0})", "std.rad2deg({0})", "std.sum([{0}, 1])", "std.avg([{0}, 1])",
]  # fmt: skip
# What prints numbers.
PRINTING_CALLS = [
    "std.toString({0})", "('' + {0})", "({0} + '')", "('%s' % [{0}])", "('%5s|' % [{0}])", "std.manifestJson({0})",
    "std.manifestJsonMinified({0})", "std.manifestPython({0})", "std.manifestYamlDoc({0})", "('%d' % {0})",
    "({0} + {0})", "({0} + 1)", "std.deepJoin(['a', {0}])", "std.manifestJsonEx({0}, '  ')", "std.lines(['a', 'b'])",
    "('%05d' % [{0}])", "('%x' % [{0}])", "('%.2f' % [{0}])", "('%(a)s' % {0})",
]  # fmt: skip


@st.composite
def _applied(draw: DrawFn, calls: list[str], inner: SearchStrategy[str]) -> str:
    return draw(st.sampled_from(calls)).format(draw(inner))


clean = st.recursive(
    leaves,
    lambda inner: st.one_of(
        _applied(TEXT_CALLS, inner), _applied(ANY_CALLS, inner), _applied(NUMBER_CALLS, inner), inner
    ),
    max_leaves=3,
)
conditions = st.one_of(
    clean.map(lambda e: f"{e} == null"),
    clean.map(lambda e: f"std.isString({e})"),
    clean.map(lambda e: f"std.type({e}) == 'object' || {e} == 1"),
    clean.map(lambda e: f"!std.isNumber({e}) && true"),
    st.sampled_from(["Body('a', 0) == 'x'", "std.length(Body('c', [])) > 1", "true", "Header('x-id', null) != null"]),
)


def _items(value: str) -> str:
    """rjsonnet goes through an object's fields too."""
    return f"(if std.isArray({value}) then {value} else error 'own: items')"


def _grown(value: SearchStrategy[str]) -> SearchStrategy[str]:
    return st.one_of(
        st.tuples(value, value).map(" + ".join),
        st.tuples(conditions, value, value).map(lambda g: f"(if {g[0]} then {g[1]} else {g[2]})"),
        st.tuples(conditions, value).map(lambda g: f"(if {g[0]} then {g[1]})"),
        st.tuples(conditions, value).map(lambda g: f"(if {g[0]} then error 'own: e' else {g[1]})"),
        st.tuples(conditions, value).map(lambda g: f"(assert {g[0]} : 'own: a'; {g[1]})"),
        st.tuples(conditions, value).map(lambda g: f"(assert {g[0]}; {g[1]})"),
        st.tuples(value, value).map(lambda g: f"{{ x: {g[0]}, y:: {g[1]}, z: self.x, 'é': self.y }}"),
        value.map(lambda e: f"({{ x: [1] }} + {{ x+: {e} }})"),
        st.tuples(conditions, value).map(lambda g: f"{{ assert {g[0]} : 'own: o', x: {g[1]} }}"),
        st.tuples(value, value).map(lambda g: f"[{g[0]}, {g[1]}]"),
        st.tuples(clean, value).map(lambda g: f"[[x, {g[1]}] for x in {_items(g[0])}]"),
        st.tuples(clean, clean).map(lambda g: f"[x for x in {_items(g[0])} if x != {g[1]}]"),
        st.tuples(value, value).map(lambda g: f"{{ [k]: {g[0]} for k in ['b', 'a'] }}"),
        clean.map(lambda e: f"{{ [k]: 1 for k in std.objectFields({e}) }}"),
        st.tuples(clean, value).map(lambda g: f"(local v = {g[0]}, f(x, y=v) = [x, y]; [f({g[1]}), v])"),
        _applied(PRINTING_CALLS, clean),
        st.tuples(value, clean).map(lambda g: f"(local f(n) = if n == 0 then {g[0]} else f(n - 1); f(3))"),
    )


free: SearchStrategy[str] = st.recursive(st.one_of(clean, plans), _grown, max_leaves=5)
"""Templates of all kinds."""

templates: SearchStrategy[str] = st.one_of(plans, free, free)


@dataclass(frozen=True)
class Event:
    """What a template sees of an event."""

    body: bytes
    headers: tuple[tuple[str, bytes], ...]


json_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 100),
    st.sampled_from([2**53 + 1, -(2**63), 2**64, 10**25, 0.1, 1.1, -1.5, 1e-7, 1e22, -0.0, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "p q", "é", "\x7f\x9f", "x1.5", '{"a": 1}', "a,b", "\u2028 <&>", "😀"]),
    st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=4),
)
json_values = st.recursive(
    json_scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([*NAMES, "é", ""]), inner, max_size=3)
    ),
    max_leaves=6,
)
json_objects = st.dictionaries(st.sampled_from(NAMES), json_values, max_size=4)
good_json = st.one_of(json_objects, json_objects, json_objects, json_values).map(
    lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
)
broken_json = st.one_of(
    st.sampled_from([b"", b" ", b"{", b'{"a":}', b'{"a":1} x', b"\xff", b'{"a":1e400}', b"nul", b"\xef\xbb\xbf{}"]),
    st.binary(max_size=6).map(lambda body: body.replace(b"\0", b"\1")),
)
odd_json = st.sampled_from(
    [b'{"a":1,"a":2}', b'{"a":"\\ud800"}', b'{"a":"\xff"}', b' {"a" : [ ] } ', b'{"c":[[1,2],{"a":3}]}', b"-0", b"1E2"]
)
forms = st.sampled_from([b"a=1&b=2", b"a=x&a=y&c", b"a=%zz", b"a;b", b"", b"a=%C3%A9+%01&id-x=1", b"c[0]=1"])
ids = st.sampled_from(
    [(), (("X-Id", b"id-1"),), (("x-ID", b"a\xff\1"), ("X-Id", b"2")), (("x-empty", b""), ("B", b"<&>"))]
)
json_type = st.sampled_from([(), (), (("Content-Type", b"application/json; charset=utf-8"),)])
form_type = (("content-type", b"application/x-www-form-urlencoded"),)


def _event(body: SearchStrategy[bytes], type_: SearchStrategy[tuple[tuple[str, bytes], ...]]) -> SearchStrategy[Event]:
    return st.builds(lambda body, first, second: Event(body, (*first, *second)), body, ids, type_)


events: SearchStrategy[Event] = st.one_of(
    _event(good_json, json_type),
    _event(good_json, json_type),
    _event(odd_json, json_type),
    _event(broken_json, json_type),
    _event(forms, st.just(form_type)),
    _event(st.just(b"\xfftext"), st.just((("Content-Type", b"text/plain"),))),
)
