"""What the model must find: each entry takes one rule out of the real code or out of the order of the shell's steps.

`python tests/unit/sink/mutations.py SECONDS [NAME ...]` prints how often the model finds each, to set the budgets by.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence

import mutations_of_expiry
import mutations_of_fold
import mutations_of_parking
import mutations_of_replay
import mutations_of_shell
import pytest
from model import simulate
from mutation import MUTATIONS, Mutation

RULES = (mutations_of_expiry, mutations_of_fold, mutations_of_parking, mutations_of_replay, mutations_of_shell)
"""Each registers its mutations in MUTATIONS when it is imported."""


def find(mutation: Mutation, seeds: range) -> int | None:
    """The first seed with a violation of the mutation's kinds; None when no seed has one."""
    with pytest.MonkeyPatch.context() as patch:
        mutation.apply(patch)
        return next((seed for seed in seeds if violated(seed) & mutation.finds), None)


def violated(seed: int) -> set[str]:
    """Kinds of the seed's violations; CRASH for an error inside the core."""
    try:
        return {text.split()[0] for text in simulate(seed)}
    except (LookupError, RuntimeError):
        return {"CRASH"}


def _measure(seconds: float, names: Sequence[str]) -> None:
    for mutation in MUTATIONS:
        if names and mutation.name not in names:
            continue
        kinds: Counter[str] = Counter()
        seeds, found, first = 0, 0, None
        end = time.monotonic() + seconds
        with pytest.MonkeyPatch.context() as patch:
            mutation.apply(patch)
            while time.monotonic() < end:
                kinds_of_seed = violated(seeds)
                kinds.update(kinds_of_seed)
                if kinds_of_seed & mutation.finds:
                    found += 1
                    first = seeds if first is None else first
                seeds += 1
        share = 100 * found / seeds
        sys.stdout.write(f"{mutation.name:58} {found:5}/{seeds:5} {share:6.2f}% first {first} {dict(kinds)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _measure(float(sys.argv[1]), sys.argv[2:])
