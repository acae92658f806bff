"""Many hosts: in which order and how many at a time, when no more begin, and what came of all."""
