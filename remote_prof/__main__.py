"""The program: ``remote-prof``, or ``python -m remote_prof``."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn


def entry() -> NoReturn:
    """Run the command line, and end the process at once.

    The interpreter's tear-down of what asyncssh and pydantic brought takes 0.2 s and frees nothing
    that the end of the process does not free. An interrupt can come while things are still being
    imported: it is no traceback then, either.
    """
    # Modules and stacks are many objects, and stay: to look for garbage among them again and again
    # takes a tenth of the time.
    gc.set_threshold(100_000)
    code = 1
    try:
        from remote_prof.cli.app import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        code = 130
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody reads it any more
    os._exit(code)


if __name__ == "__main__":
    entry()
