"""The same job, done with the tools others would take: each as its documentation says."""
