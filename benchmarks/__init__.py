"""How fast the exporter is and how much memory it takes, next to other programs on the same server."""
