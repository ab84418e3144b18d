"""Text of `--help` after the options: enough to work with nothing else."""

EXPORT_EPILOGUE = """
**Files.** While it runs: `NAME.part` and `NAME.checkpoint.json`. When complete: `NAME` and `NAME.manifest.json`. A
folder has numbered parts and one `_manifest.json`. Only their owner can read them.

**Resume.** Run the same command again to resume an unfinished export; the result is byte-identical to that of an
uninterrupted one. For a complete export it only says so.

**Settings.** Each option can also be an environment variable (`--per-page` is `INTERCOM_EXPORTER_PER_PAGE`) or stand
in the file of `--config` (TOML, `per-page = 50`). Options win over variables, variables over the file.
`intercom-exporter config show` shows the effective settings.

**Exit codes.** 0 complete; 1 internal error; 2 usage or configuration; 3 credentials refused; 4 the API failed
permanently; 5 the destination failed, or a file cannot be read; 6 the export cannot be resumed; 7 verify or report
found a difference; 8 --max-duration was reached; 129, 130 and 143 stopped by SIGHUP, SIGINT and SIGTERM; 141 the
reader of stdout closed the pipe. After 3, 4, 5, 8, 129, 130 and 143 run the same command again to resume.

**Examples.**

`intercom-exporter contacts -o contacts.ndjson.gz` - everything, compressed

`intercom-exporter contacts -o contacts.parquet --expand tags,notes,companies --tag-names` - a table, with full lists

`intercom-exporter contacts --fields id,email | jq -r .email` - into a pipe

`intercom-exporter contacts -o contacts/ --part-bytes 1GB --max-duration 6h` - in parts, six hours at most

`intercom-exporter check -o contacts.ndjson.gz` - before; `intercom-exporter verify contacts.ndjson.gz` - after
"""

CHECK_EPILOGUE = """
Estimates are made from the first page; of an unfinished export they cover what is left. The exit code is 0 with
or without warnings; with --strict, warnings make it 2. It is 2, 3 or 4 where an export could not even start.
"""
