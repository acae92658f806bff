"""The lab: real hosts on one machine, each with its own sshd, container engine and targets.

``python -m tests.lab up`` starts it; see ``__main__`` for the command line.
"""

from .model import SIDECAR_IMAGE, HostSpec, Lab, LabError, LabHost

__all__ = ["SIDECAR_IMAGE", "HostSpec", "Lab", "LabError", "LabHost"]
