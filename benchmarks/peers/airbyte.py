"""Airbyte's declarative source: ``python -m benchmarks.peers.airbyte BASE_URL OUTPUT``."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from airbyte_cdk.cli.source_declarative_manifest import run

from benchmarks.peers import stdout

_MANIFEST = Path(__file__).with_name("airbyte_manifest.yaml")
_CATALOG: dict[str, Any] = {
    "streams": [
        {
            "stream": {"name": "contacts", "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
            "sync_mode": "full_refresh",
            "destination_sync_mode": "overwrite",
        }
    ]
}


def main() -> None:
    """Write the messages of ``read``, one per contact."""
    base_url, output = sys.argv[1:]
    config = {"base_url": base_url, "access_token": os.environ["INTERCOM_ACCESS_TOKEN"]}
    with tempfile.TemporaryDirectory() as folder:
        files = {"--manifest-path": str(_MANIFEST)}
        for name, content in (("config", config), ("catalog", _CATALOG)):
            path = Path(folder, f"{name}.json")
            path.write_text(json.dumps(content), encoding="utf-8")
            files[f"--{name}"] = str(path)
        sys.argv[1:] = ["read", *(part for option in files.items() for part in option)]
        stdout.into(output)
        run()


if __name__ == "__main__":
    main()
