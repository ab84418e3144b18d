"""Run one command and report what it took: ``python -I -S timed.py REPORT COMMAND…``.

A process of its own, kept small, because on Linux a program's peak memory
begins with that of whoever started it: started from the harness, with its
table and its command line, a client of 15 MB would be said to take 40. What
takes less than this process itself, some 9 MB, is said to take as much.
"""

import os
import sys
import time

_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    """Write wall time (s), CPU time (s), peak memory (bytes) and exit code to REPORT."""
    report, *command = sys.argv[1:]
    began_at = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    wall_s = time.perf_counter() - began_at
    cpu_s = usage.ru_utime + usage.ru_stime
    peak = usage.ru_maxrss * _MAXRSS_BYTES
    # No pathlib, no json: what is imported here is the least that can be measured.
    with open(report, "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(f"{wall_s} {cpu_s} {peak} {os.waitstatus_to_exitcode(status)}\n")


if __name__ == "__main__":
    main()
