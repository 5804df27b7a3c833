"""What exports may lose to failing work, over time: pure, so that any history can be tried. Source: rule 5.

Failing work is computing that ended in no row: lost children, used-up budgets, errors that are dear. An export that
does none has no account here. Each second lost is taken from the export's account; a share of the time that passes
flows back, divided among all accounts, so that many bad exports together take no more than one. When an account is
empty the export rests: its events fail at once. It is tried again as soon as there is a little in its account, and
after each failed try only when there is twice as much: short tries soon, for who failed by chance, and long ones later,
for who is slow and not stuck.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_TRY = 0.25
"""The part of a full account with which an export that rests is tried for the first time."""
EMPTY = 0.1
"""An account with less than this part of a full one is empty: nothing could be told in so little time."""


@dataclass(slots=True)
class _Account:
    held: float
    tries: int = 0
    resting: bool = False
    since: float = 0.0
    why: str = ""


class Allowances:
    """The accounts of all exports that failed lately, by key. `share` is what flows back in one second, to all of them
    together; a full account has `most_seconds`. Times (`now`) are seconds of a clock that never goes back.

    >>> allowances = Allowances(share=0.05, most_seconds=2)
    >>> allowances.charge("uid/1", 3, now=0, why="it loops")
    >>> allowances.left("uid/1", now=10), allowances.rest_seconds("uid/1", now=10)
    (0.0, 20.0)
    >>> allowances.left("uid/1", now=30)
    0.5
    """

    def __init__(self, share: float, most_seconds: float) -> None:
        self._share = share
        self._most = most_seconds
        self._accounts: dict[str, _Account] = {}
        self._settled = 0.0

    def is_watched(self, key: str, now: float) -> bool:
        """Whether the export failed lately, so that its account is not full."""
        self._settle(now)
        return key in self._accounts

    def is_resting(self, key: str) -> bool:
        """Whether its account was emptied, and no try succeeded since."""
        account = self._accounts.get(key)
        return account is not None and account.resting

    def left(self, key: str, now: float) -> float:
        """Seconds that the export may lose now; 0.0 while it rests and is not to be tried yet."""
        self._settle(now)
        account = self._accounts.get(key)
        if account is None:
            return self._most
        ready = not account.resting or account.held >= self._needed(account)
        return min(account.held, self._most) if ready else 0.0

    def rest_seconds(self, key: str, now: float) -> float:
        """How long the export rests from now on, if no other one begins or ceases to fail."""
        self._settle(now)
        account = self._accounts.get(key)
        if account is None or not account.resting:
            return 0.0
        return max(self._needed(account) - account.held, 0.0) * len(self._accounts) / self._share

    def rested_seconds(self, key: str, now: float) -> float:
        """How long it has rested without a try that succeeded; 0.0 when it does not rest."""
        self._settle(now)
        account = self._accounts.get(key)
        return now - account.since if account is not None and account.resting else 0.0

    def why(self, key: str) -> str:
        """What it failed with last."""
        account = self._accounts.get(key)
        return account.why if account is not None else ""

    def charge(self, key: str, seconds: float, now: float, why: str = "") -> None:
        """The export lost so much, with this message."""
        self._settle(now)
        if seconds <= 0:
            return
        account = self._accounts.setdefault(key, _Account(self._most))
        account.held -= seconds
        account.why = why or account.why
        if account.held < EMPTY * self._most:
            account.since = account.since if account.resting else now
            account.resting = True
            account.tries += 1

    def succeeded(self, key: str) -> None:
        """A try went well: the export rests no longer."""
        account = self._accounts.get(key)
        if account is not None:
            account.resting = False

    def _needed(self, account: _Account) -> float:
        return min(FIRST_TRY * 2.0 ** min(account.tries - 1, 10), 1.0) * self._most

    def _settle(self, now: float) -> None:
        """Let flow back what is due, and forget accounts that are full.

        One that rests is kept until it has twice that, so that an export that always fails is tried by one chunk only.
        What an account cannot take is not given to the others.
        """
        passed, self._settled = now - self._settled, now
        if not self._accounts:
            return
        flow = self._share * passed / len(self._accounts)
        for key, account in list(self._accounts.items()):
            account.held += flow
            if account.held >= self._most * (2 if account.resting else 1):
                del self._accounts[key]
