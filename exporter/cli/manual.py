"""What `--help` says behind the options: enough to work with nothing else."""

EXPORT = """
**Files.** While it runs, `NAME.part` and `NAME.checkpoint.json`; complete, `NAME` and `NAME.manifest.json`. A folder
has numbered parts and one `_manifest.json`. All are readable by their owner alone.

**The same command again** goes on with an unfinished export, byte for byte as if it had not stopped, and says of a
complete one that it is complete.

**Settings.** Each option is also a variable, `--per-page` as `INTERCOM_EXPORTER_PER_PAGE`, or stands in the file of
`--config` (TOML, `per-page = 50`). An option wins over a variable, that over a file. `intercom-exporter config show`
tells what counts.

**Exit codes.** 0 complete; 1 a bug; 2 usage or configuration; 3 credentials refused; 4 the API failed for good;
5 the destination failed, or a file cannot be read; 6 the export cannot be resumed; 7 verify or report found a
difference; 8 --max-duration was reached; 129, 130 and 143 stopped by SIGHUP, SIGINT and SIGTERM; 141 the reader of
stdout went away. After 3, 4, 5, 8, 129, 130 and 143 run the same command again to resume.

**Examples.**

`intercom-exporter contacts -o contacts.ndjson.gz` - everything, compressed

`intercom-exporter contacts -o contacts.parquet --expand tags,notes,companies --tag-names` - a table, lists complete

`intercom-exporter contacts --fields id,email | jq -r .email` - into a pipe

`intercom-exporter contacts -o contacts/ --part-bytes 1GB --max-duration 6h` - in parts, until the morning

`intercom-exporter check -o contacts.ndjson.gz` - a look before; `intercom-exporter verify contacts.ndjson.gz` - after
"""

CHECK = """
Estimates are those of one page; of an unfinished export they are about what is left of it. It ends with 0
whether there are warnings or not; with --strict warnings end it with 2. It ends with 2, 3 or 4 where an export could
not even begin.
"""
