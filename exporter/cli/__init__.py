"""The command line: settings, progress, exit codes. The only place that prints or exits."""
