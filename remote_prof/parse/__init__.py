"""One file an input format: bytes come in, a profile goes out; all pure."""
