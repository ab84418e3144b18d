"""dlt's REST source into its filesystem destination: ``python -m benchmarks.peers.dlt_rest BASE_URL OUTPUT``."""

import os
import sys
from pathlib import Path

import dlt
from dlt.destinations import filesystem
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.typing import RESTAPIConfig


def _listing(base_url: str) -> RESTAPIConfig:
    return {
        "client": {
            "base_url": base_url,
            "headers": {"Intercom-Version": "2.14"},
            "auth": {"type": "bearer", "token": os.environ["INTERCOM_ACCESS_TOKEN"]},
            "paginator": {
                "type": "cursor",
                "cursor_path": "pages.next.starting_after",
                "cursor_param": "starting_after",
            },
        },
        "resources": [
            {
                "name": "contacts",
                "primary_key": "id",
                "endpoint": {"path": "contacts", "params": {"per_page": 150}, "data_selector": "data"},
            }
        ],
    }


def main() -> None:
    """Load every contact into files below the folder OUTPUT."""
    base_url, output = sys.argv[1:]
    folder = Path(output).resolve()
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"  # uncompressed lines, same as the other programs
    pipeline = dlt.pipeline(
        "intercom",
        pipelines_dir=str(folder / "pipelines"),
        destination=filesystem(bucket_url=folder.as_uri()),
        dataset_name="loaded",
    )
    # Nested values stay in their contact: separate tables of tags and companies are for a database, not for a dump.
    source = rest_api_source(_listing(base_url), max_table_nesting=0)
    pipeline.run(source, loader_file_format="jsonl")


if __name__ == "__main__":
    main()
