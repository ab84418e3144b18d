"""zstd on the command line, with and without its extra."""

from typing import Any

from exporter.extras import zstd


def test_zstd_file_is_written_and_verified(command: Any) -> None:
    """The content of the plain file, in one frame per page."""
    for output in ("a.ndjson", "a.ndjson.zst", "parts/"):
        options = ("--format", "ndjson.zst", "--part-contacts", "450") if output == "parts/" else ()
        assert command.run("demo", "--contacts", "1000", "--quiet", "--output", output, *options).returncode == 0
        assert command.run("verify", output).returncode == 0
    plain = (command.folder / "a.ndjson").read_bytes()
    assert zstd().decompress((command.folder / "a.ndjson.zst").read_bytes()) == plain
    parts = sorted((command.folder / "parts").glob("contacts-*.ndjson.zst"))
    assert len(parts) == 3
    assert b"".join(zstd().decompress(part.read_bytes()) for part in parts) == plain


def test_stdout_may_be_zstd(command: Any) -> None:
    """By its format, which excludes --gzip."""
    done = command.run("demo", "--contacts", "300", "--quiet", "--format", "ndjson.zst")
    assert zstd().decompress(done.stdout).count(b"\n") == 300
    assert command.run("demo", "--gzip", "--format", "ndjson.zst").returncode == 2
