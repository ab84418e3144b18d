"""The loop that many would write first: ``python -m benchmarks.requests_loop BASE_URL OUTPUT``."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import requests


def main() -> None:
    """Write every contact as a line of JSON."""
    base_url, output = sys.argv[1:]
    with requests.Session() as session, Path(output).open("w", encoding="utf-8") as file:
        session.headers["Authorization"] = f"Bearer {os.environ['INTERCOM_ACCESS_TOKEN']}"
        session.headers["Intercom-Version"] = "2.14"
        query: dict[str, Any] = {"per_page": 150}
        while True:
            response = session.get(f"{base_url}/contacts", params=query, timeout=60)
            response.raise_for_status()
            page = response.json()
            for contact in page["data"]:  # noqa: FURB122 - written as most people would
                file.write(json.dumps(contact) + "\n")
            following = page["pages"].get("next")
            if not following:
                break
            query["starting_after"] = following["starting_after"]


if __name__ == "__main__":
    main()
