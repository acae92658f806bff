"""The sidecar's image: what goes into it, how it is written, and those that were built here."""
