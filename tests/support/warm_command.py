"""A command of a shell that a warm interpreter runs: ``warm_command.py ADDRESS ARGUMENTS...``."""

import json
import os
import socket
import sys


def main() -> None:
    """Have the command forked with our folder, environment and descriptors; exit with its exit code."""
    address, *arguments = sys.argv[1:]
    request = json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode()  # noqa: PTH109 - pathlib takes long to import
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [len(request).to_bytes(4, "big")], [0, 1, 2])
        connection.sendall(request)
        with connection.makefile("rb") as reply:
            _pid, code = reply.read(4), int.from_bytes(reply.read(4), "big", signed=True)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
