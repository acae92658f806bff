"""A terminal that is closed: nobody reads what is printed, and nothing fails for it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

PRINTS = """
import sys
from remote_prof import console
sys.stdin.readline()
for _ in range(3):
    console.{what}("a host: sampling")
    sys.{stream}.write("what is left in the buffer")
"""


@pytest.mark.parametrize(("what", "stream"), [("line", "stdout"), ("note", "stderr")])
def test_what_is_left_in_a_buffer_does_not_change_the_exit_code(what: str, stream: str) -> None:
    near, far = pty.openpty()
    printing = subprocess.Popen(
        [sys.executable, "-c", PRINTS.format(what=what, stream=stream)],
        stdin=subprocess.PIPE,
        stdout=far,
        stderr=far,
        # Python would write each text at once.
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    os.close(far)
    os.close(near)
    printing.communicate(b"go\n")
    assert printing.returncode == 0
