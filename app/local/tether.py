"""Runs a command that dies with its parent: `python -I -S tether.py PARENT_PID COMMAND...`.

The kernel kills the command when the parent is gone, however it went (SIGKILL too); Linux only. Elsewhere the command
runs untied, and the next start of the stack stops what an earlier one left behind. The kernel counts the *thread*
that started the child as the parent, so it must be one that lives on: start children from the main thread.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the tie was made
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - a command of ours


if __name__ == "__main__":
    main()
