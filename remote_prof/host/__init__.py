"""Facts of a host, its containers, and the target on it."""
