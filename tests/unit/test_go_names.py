"""The functions of Go, told from others by their names where Go's runtime is there."""

from __future__ import annotations

import pytest

from remote_prof.parse import read_profile
from remote_prof.parse.symbols import with_go
from remote_prof.profile.model import Frame, FrameKind, Profile

RUNTIME = Frame("runtime.goexit.abi0")


def kind_beside_go(frame: Frame) -> FrameKind:
    (stack,) = with_go(Profile.of({(RUNTIME, frame): 1})).stacks
    assert stack[0].kind is FrameKind.GO
    return stack[1].kind


@pytest.mark.parametrize(
    "name",
    [
        "main.main",
        "main.main.func1",
        "main.(*Server).Serve",
        "main.Map[go.shape.int]",
        "net/http.(*conn).serve",
        "github.com/gorilla/mux.(*Router).ServeHTTP",
        "gopkg.in/yaml%2ev2.unmarshal",
        "crypto/sha256.block.abi0",
        "golang.org/x/sys/unix.Read",
    ],
)
def test_functions_of_go_are_told(name: str) -> None:
    assert kind_beside_go(Frame(name)) is FrameKind.GO
    # Elsewhere it may be anything.
    (stack,) = with_go(Profile.of({(Frame(name),): 1})).stacks
    assert stack == (Frame(name),)


@pytest.mark.parametrize(
    "name",
    [
        *("malloc", "_cgo_thread_start", "x_cgo_init", "__libc_start_main@plt"),
        *("parse.isra.0", "copy.constprop.0", "leaf.part.1", "leaf.cold", "run.llvm.1234"),
        *("std::vector<int>::push_back(int&&)", "operator new(unsigned long)", "v1.2.3"),
    ],
)
def test_what_is_not_go_s_stays(name: str) -> None:
    assert kind_beside_go(Frame(name)) is FrameKind.USER


def test_only_functions_are_told() -> None:
    for kind in (FrameKind.KERNEL, FrameKind.JIT, FrameKind.PROCESS):
        assert kind_beside_go(Frame("main.main", kind)) is kind
    assert kind_beside_go(Frame("x/" * 10_000 + "y.z")) is FrameKind.USER


def test_they_are_told_in_files_too() -> None:
    (stack,) = read_profile("a.folded", b"runtime.main;main.main;main.leaf 5\n").stacks
    assert {frame.kind for frame in stack} == {FrameKind.GO}
