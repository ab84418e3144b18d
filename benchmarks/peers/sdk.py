"""Intercom's own SDK: ``python -m benchmarks.peers.sdk BASE_URL OUTPUT``."""

import os
import sys
import warnings
from pathlib import Path

from intercom import Intercom


def main() -> None:
    """Write every contact as a line of JSON."""
    base_url, output = sys.argv[1:]
    # In its model the avatar is text, so it would warn for every contact with an avatar.
    warnings.filterwarnings("ignore", "Pydantic serializer warnings")
    client = Intercom(
        token=os.environ["INTERCOM_ACCESS_TOKEN"], base_url=base_url, headers={"Intercom-Version": "2.14"}
    )
    with Path(output).open("w", encoding="utf-8") as file:
        file.writelines(contact.json() + "\n" for contact in client.contacts.list(per_page=150))


if __name__ == "__main__":
    main()
