"""Finished exports: read, verified, replayed, reported on."""
