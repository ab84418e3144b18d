"""What a run reports: events, log lines, metrics, a timeline."""
