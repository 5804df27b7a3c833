"""Processes of ours that start at once: forks of one that has imported what they need, instead of a second of imports.

They are like those of `python -c CODE` in all else: pid, environment, output, signals and exit code, up to the end of
the interpreter. Where there are no pidfds (not Linux) `start` does just that. How a process starts by itself is shown
by the tests of `e2e`, `chaos` and the gateway.
"""

from warm.process import Running, start, start_streams

__all__ = ["Running", "start", "start_streams"]
