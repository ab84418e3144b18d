"""The HTML report of a finished export: its contents and the course of the export run."""
