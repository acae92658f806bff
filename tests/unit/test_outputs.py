"""What sidecars say of themselves."""

from __future__ import annotations

from pathlib import Path

from remote_prof.run.manifest import SidecarRecord
from remote_prof.run.outputs import Outputs
from remote_prof.run.tell import stacks_unread

SIDECAR = SidecarRecord("bpftrace", "img", "", (), "", (), "engine", 0, "bpftrace v0.17.0")
LOST = "ERROR: failed to look up stack id 110301 (pid 0): -9"


def test_stacks_that_an_old_version_loses_are_told(tmp_path: Path) -> None:
    path = tmp_path / "sidecar.err"
    # A stack that is not there alone (ENOENT) is none of these.
    path.write_text(f"Creating x ... done\n{LOST}\n{LOST.replace('-9', '-2')}\n{LOST}\n")
    lines = Outputs({"sidecar.err": path}).unread_stacks(SIDECAR)
    assert lines == [LOST, LOST]
    (problem,) = stacks_unread(lines)
    assert problem.evidence == f"2 times: {LOST}"
    assert stacks_unread([]) == []
