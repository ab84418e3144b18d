"""Run one command and report its time and memory: ``python -I -S timed.py REPORT COMMAND…``.

This is a small process between, because on Linux the peak memory of a program
begins with that of its parent: started directly from the benchmarks, a client of
15 MB would be reported with 40 MB. The minimum that can be reported is the size of
this process, about 9 MB.
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
    # No pathlib, no json: the imports here limit the smallest memory that can be measured.
    with open(report, "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(f"{wall_s} {cpu_s} {peak} {os.waitstatus_to_exitcode(status)}\n")


if __name__ == "__main__":
    main()
