"""Profile containers on somebody else's hosts over SSH, and leave nothing behind."""

__version__ = "0.1.0"
