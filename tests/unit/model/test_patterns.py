"""What patterns of topics mean, and whether two may mean the same."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from app.model.patterns import matches, overlap

patterns = st.text("ab.*?", max_size=6)
names = st.text("ab.", max_size=8)


@given(patterns, patterns, names)
@example("shop.*", "*.orders", "shop.orders")
@example("a?", "*b", "ab")
@example("*", "", "")
def test_patterns_with_a_topic_in_common_overlap(one: str, other: str, name: str) -> None:
    both = matches(one, name) and matches(other, name)

    assert not both or overlap(one, other)


@given(patterns, patterns)
@example("a*b", "*a")
@example("?", "")
def test_patterns_that_overlap_have_a_topic_in_common(one: str, other: str) -> None:
    found = _common(one, other)

    assert overlap(one, other) == (found is not None)
    assert found is None or (matches(one, found) and matches(other, found))


def test_topics_that_kafka_keeps_for_itself_are_meant_by_no_pattern() -> None:
    assert not matches("*", "__consumer_offsets")


def _common(one: str, other: str) -> str | None:
    """A shortest name that both mean, by trying what may come next."""
    seen, tried = {(one, other)}, [(one, other, "")]
    for left, right, name in tried:
        if not left.strip("*") and not right.strip("*"):
            return name
        for letter in "ab.":
            for mine in _after(left, letter):
                for theirs in _after(right, letter):
                    if (mine, theirs) not in seen:
                        seen.add((mine, theirs))
                        tried.append((mine, theirs, name + letter))
    return None


def _after(pattern: str, letter: str) -> list[str]:
    """What may be left of a pattern when a name goes on with this letter."""
    if not pattern:
        return []
    if pattern[0] == "*":
        return [pattern, *_after(pattern[1:], letter)]
    return [pattern[1:]] if pattern[0] in (letter, "?") else []
