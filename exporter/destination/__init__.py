"""The destinations of an export: durable files, or standard output."""
