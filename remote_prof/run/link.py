"""A connection that is opened again when it breaks, with pauses that grow, for a minute."""

from __future__ import annotations

import time
from collections.abc import Callable

from remote_prof.errors import LinkLostError, UnreachableError
from remote_prof.transport import Connection

# How long a link may stay away before it is given up; what the host holds can be fetched later.
_PATIENCE_S = 60.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0


class Link:
    """Counts the time since the other side was last heard of."""

    def __init__(
        self,
        connection: Connection,
        watch: Callable[[str], None],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """``check`` is called before each try, and may raise."""
        self.connection = connection
        self._watch = watch
        self._check = check
        self._pause_s = _FIRST_PAUSE_S
        self._heard_at = time.monotonic()
        self._opened_at = self._heard_at
        self._broke_at: float | None = None

    @property
    def silence_s(self) -> float:
        """How long nothing has been heard."""
        return time.monotonic() - self._heard_at

    def heard(self) -> None:
        """Note a sign of life: the next break is the first again."""
        self._heard_at = time.monotonic()
        self._broke_at = None
        self._pause_s = _FIRST_PAUSE_S

    def reconnect(self, error: UnreachableError) -> None:
        """Open the link again after an error. Raises LinkLostError when patience is over."""
        self._watch("reconnecting")
        # Patience begins with the break. A host that samples says nothing for a while: a link that
        # has held for that long was a good one.
        now = time.monotonic()
        if self._broke_at is None or now - self._opened_at > _PATIENCE_S:
            self._broke_at = now
            self._pause_s = _FIRST_PAUSE_S
        while True:
            if time.monotonic() - self._broke_at > _PATIENCE_S:
                raise LinkLostError(
                    f"{self.connection.host.name}: the connection broke and did not come back"
                    f" for {_PATIENCE_S:.0f} s",
                    evidence=error.evidence or error.what,
                ) from error
            self._check()
            time.sleep(self._pause_s)
            self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s)
            self.connection.close()
            try:
                self.connection.open()
            except UnreachableError as refused:
                error = refused
            else:
                self._opened_at = time.monotonic()
                return
