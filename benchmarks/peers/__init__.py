"""The same job with other tools, each used as its documentation recommends."""
