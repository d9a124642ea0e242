"""Images without labels, sorted into clusters: a run's story, its page, names."""
