"""Which faults happen when: a pure function of the seed, so that a run can be made again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

ROLES = ("gateway", "control", "mapper", "sink")
INSTANCES = tuple(f"{role}-{number}" for role in ROLES for number in (1, 2))
SESSION_SECONDS = 6.0
"""Of the consumer groups: a process frozen for longer is taken for dead, and wakes up as a zombie."""


class Kind(StrEnum):
    """What can happen. The first ones are of a process, then the broker, then Storage."""

    KILL = "SIGKILL"
    STOP = "SIGTERM"
    FREEZE = "SIGSTOP, SIGCONT"
    CLOCK = "clock an hour off"
    BROKER_RESTART = "broker killed"
    BROKER_AWAY = "broker away"
    BROKER_FROZEN = "broker frozen"
    ANSWER_500 = "500"
    ANSWER_503 = "503"
    LOST_504 = "504 after the effect"
    LOST_RESET = "reset after the effect"
    LATE = "504, the effect comes later"
    JOB_ERROR = "job error"
    SILENCE = "silence"
    CREDENTIALS = "credentials expired"
    SLICE_REFUSED = "slice refused"


PROCESS_KINDS = (Kind.KILL, Kind.STOP, Kind.FREEZE, Kind.CLOCK)
BROKER_KINDS = (Kind.BROKER_RESTART, Kind.BROKER_AWAY, Kind.BROKER_FROZEN)
POST_IMPORT = r"/import-async$"
CALLS = (
    POST_IMPORT,
    POST_IMPORT,
    r"/files/prepare$",
    r"/jobs$",
    r"/jobs/\d+$",
    r"/tickets$",
    r"/files/\d+$",
    r"/v2/storage/",
)
"""Paths of Storage that a fault picks from; the import is where an answer that is lost is hardest."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `at` seconds after the start, for `lasts` seconds where it has a duration.

    `target` is an instance ("sink-1"), "broker", or the path of Storage's requests that it hits, `times` of them.
    `shift` is how far a clock is set, in seconds.
    """

    at: float
    kind: Kind
    target: str
    lasts: float = 0.0
    times: int = 1
    shift: int = 0

    def __str__(self) -> str:
        lasts = f" for {self.lasts:.1f} s" if self.lasts else ""
        times = f", {self.times} requests" if self.kind not in PROCESS_KINDS + BROKER_KINDS and not self.lasts else ""
        shift = f" ({self.shift:+d} s)" if self.kind is Kind.CLOCK else ""
        return f"{self.target}: {self.kind}{shift}{lasts}{times}"


@dataclass(frozen=True, slots=True)
class Pace:
    """How dense and how long faults are, in seconds. `silence`: Storage says nothing; `away`: the broker is gone."""

    gap: float = 6.0
    away: float = 30.0
    silence: float = 60.0
    late: float = 25.0
    recovery: float = 10.0
    """What a process has to start again before it is hit once more."""


SHORT = Pace(gap=3.0, away=9.0, silence=8.0, late=5.0, recovery=8.0)
LONG = Pace()


def make_plan(seed: int, seconds: float, pace: Pace) -> list[Fault]:
    """Faults within `seconds`, in order of time; all have ended by then but for what a process needs to start again.

    Kinds are dealt like cards, so that each comes once before one comes a second time. A process that is down or
    starting is not hit, and the broker is hit by one fault at a time.
    """
    rng = random.Random(seed)
    busy_until = dict.fromkeys((*INSTANCES, "broker"), 0.0)
    plan: list[Fault] = []
    at = rng.uniform(0, pace.gap)
    deck: list[Kind] = []
    while at < seconds:
        deck = deck or _shuffled_deck(rng)
        fault = _deal(rng, deck, at, busy_until, pace)
        if fault is not None and at + fault.lasts <= seconds:
            plan.append(fault)
            if fault.target in busy_until:
                busy_until[fault.target] = at + fault.lasts + pace.recovery
        at += rng.uniform(0.2, 1.8) * pace.gap
    return plan


def _shuffled_deck(rng: random.Random) -> list[Kind]:
    """Kills count most, since they are what happens most."""
    deck = [*Kind, Kind.KILL, Kind.KILL, Kind.KILL, Kind.FREEZE, Kind.LOST_504, Kind.LOST_RESET]
    rng.shuffle(deck)
    return deck


def _deal(rng: random.Random, deck: list[Kind], at: float, busy_until: dict[str, float], pace: Pace) -> Fault | None:
    """The next card of the deck as a fault; None when whom it would hit is busy (then the card goes back)."""
    kind = deck.pop()
    if kind in PROCESS_KINDS:
        target = _idle(rng, INSTANCES, at, busy_until)
        lasts = rng.uniform(1.3, 2.2) * SESSION_SECONDS if kind is Kind.FREEZE else 0.0
        shift = rng.choice((-3600, 3600)) if kind is Kind.CLOCK else 0
        if target is not None:
            return Fault(at, kind, target, lasts, shift=shift)
    elif kind in BROKER_KINDS:
        lasts = {Kind.BROKER_RESTART: 0.0, Kind.BROKER_AWAY: pace.away, Kind.BROKER_FROZEN: pace.away / 2}[kind]
        if busy_until["broker"] <= at:
            return Fault(at, kind, "broker", lasts)
    else:
        return _storage_fault(rng, kind, at, pace)
    deck.insert(0, kind)
    return None


def _idle(rng: random.Random, names: Sequence[str], at: float, busy_until: dict[str, float]) -> str | None:
    idle = [name for name in names if busy_until[name] <= at]
    return rng.choice(idle) if idle else None


def _storage_fault(rng: random.Random, kind: Kind, at: float, pace: Pace) -> Fault:
    match kind:
        case Kind.SILENCE:
            return Fault(at, kind, r"/v2/storage/", pace.silence)
        case Kind.CREDENTIALS:
            return Fault(at, kind, r"^/kbc-local-files/", rng.uniform(0.5, 1) * pace.away / 2)
        case Kind.SLICE_REFUSED:
            return Fault(at, kind, r"^/kbc-local-files/", times=rng.randint(1, 8))
        case Kind.JOB_ERROR:
            return Fault(at, kind, POST_IMPORT, times=rng.randint(1, 4))
        case Kind.LATE:
            return Fault(at, kind, POST_IMPORT, times=rng.randint(1, 2))
        case _:
            return Fault(at, kind, rng.choice(CALLS), times=rng.randint(1, 5))
