from __future__ import annotations

from dataclasses import replace

import pytest

from remote_prof.profile.model import Frame, FrameKind, Grade, Profile, Quality, Stack, Verdict
from remote_prof.profile.quality import hints, measure_quality
from remote_prof.records import Severity

API = Frame("api", FrameKind.PROCESS, pid=1)
UNKNOWN = Frame("[unknown]", FrameKind.UNRESOLVED)
KERNEL_HEX = Frame("[kernel]", FrameKind.UNRESOLVED, module="[kernel]")
CUT = Frame("[truncated]", FrameKind.TRUNCATED)
WRITE = Frame("vfs_write", FrameKind.KERNEL)
DEEP: Stack = (API, Frame("start"), Frame("loop"), Frame("work"))


def said(profile: Profile, expected: int | None = None) -> list[str]:
    return [problem.what for problem in hints(profile, measure_quality(profile, expected))]


def test_shares_are_of_what_was_got() -> None:
    profile = Profile.of(
        {
            DEEP: 50,
            (API, Frame("f")): 10,  # shallow
            (API, UNKNOWN, Frame("f"), WRITE): 5,  # shallow: the kernel's frames do not count
            (API, WRITE): 5,  # no user frame: nothing to say
            (API, Frame("a"), Frame("b"), UNKNOWN): 20,
            (API, CUT, Frame("a")): 10,  # cut, hence not shallow
        },
        lost=25,
    )
    quality = measure_quality(profile, 200)
    assert replace(quality, verdict=None) == Quality(
        expected=200,
        got=100,
        lost=25,
        unresolved_share=0.2,
        truncated_share=0.1,
        shallow_share=0.15,
        distinct_stacks=6,
        unresolved_by_module={"[unknown]": 0.2},
    )
    assert quality.verdict is not None
    assert quality.verdict.grade is Grade.ROUGH
    assert quality.verdict.reason == "20 % of the samples were lost: rare stacks are underrated"


def test_an_empty_profile_has_figures_and_no_hints() -> None:
    quality = measure_quality(Profile.of({}), 100)
    assert quality == Quality(
        100, 0, 0, 0.0, 0.0, 0.0, verdict=Verdict(Grade.POOR, "there are no samples")
    )
    assert hints(Profile.of({}), quality) == []


def test_a_stack_without_frames_is_counted() -> None:
    assert measure_quality(Profile.of({(): 3})).got == 3


def test_a_sound_profile_has_no_hints() -> None:
    assert said(Profile.of({DEEP: 1000}), 1000) == []
    assert said(Profile.of({DEEP: 1000})) == []


def test_hints_are_one_line_each_with_a_next_step() -> None:
    profile = Profile.of(
        {(API, UNKNOWN): 40, (API, CUT, Frame("a")): 5}, lost=10, max_depth=127, frequency_hz=99
    )
    problems = hints(profile, measure_quality(profile, 1000))
    assert len(problems) == 6
    for problem in problems:
        assert problem.severity is Severity.WARNING
        assert problem.fix
        assert "\n" not in problem.what + problem.evidence + problem.fix


def test_frame_pointers() -> None:
    profile = Profile.of({(API, Frame("f")): 91, DEEP: 9})
    (problem,) = hints(profile, measure_quality(profile))
    assert problem.what.startswith("91 % of the stacks have one or two user frames")
    assert "-fno-omit-frame-pointer" in problem.fix
    assert "DWARF" in problem.fix
    # That measures no waits.
    (problem,) = hints(replace(profile, unit="us"), measure_quality(profile))
    assert "DWARF" not in problem.fix
    assert said(Profile.of({(API, Frame("f")): 49, DEEP: 51})) == []


def test_names_that_are_missing() -> None:
    user = Profile.of({(*DEEP, UNKNOWN): 60, DEEP: 40})
    assert "stripped binary" in said(user)[0]
    kernel = Profile.of({(*DEEP, KERNEL_HEX): 60, DEEP: 40})
    (problem,) = hints(kernel, measure_quality(kernel))
    assert "kernel symbols" in problem.what
    assert "CAP_SYSLOG" in problem.fix
    assert said(Profile.of({(*DEEP, UNKNOWN): 20, DEEP: 80})) == []


def test_stacks_that_were_cut() -> None:
    cut = Profile.of({(API, CUT, Frame("a")): 5, DEEP: 95}, max_depth=127)
    (what,) = said(cut)
    assert what.startswith("5 % of the stacks were cut at the profiler's limit of 127 frames:")
    assert "limit:" in said(Profile.of(cut.stacks))[0]


def test_samples_that_were_lost() -> None:
    profile = Profile.of({DEEP: 900}, lost=100)
    (problem,) = hints(profile, measure_quality(profile))
    assert problem.what.startswith("10 % of the samples were lost")
    assert problem.evidence == "100 of 1000 samples"
    assert said(Profile.of({DEEP: 1000}, lost=10)) == []


def test_fewer_samples_than_expected() -> None:
    (problem,) = hints(Profile.of({DEEP: 300}), measure_quality(Profile.of({DEEP: 300}), 3000))
    assert problem.what == "10 % of the expected samples were taken"
    assert problem.evidence == "300 of 3000 samples"
    # What was lost was taken.
    assert len(said(Profile.of({DEEP: 300}, lost=2700), 3000)) == 1
    assert said(Profile.of({DEEP: 1500}), 3000) == []


@pytest.mark.parametrize(("got", "error"), [(1, "98"), (25, "20"), (99, "10")])
def test_few_samples_are_rough(got: int, error: str) -> None:
    (what,) = said(Profile.of({DEEP: got}))
    assert what == f"only {got} samples: shares are rough, ±{error} points at worst"


def test_weights_that_are_no_samples_are_not_few() -> None:
    assert said(Profile.of({DEEP: 5}, unit="us")) == []


def test_tiny_shares_are_not_rounded_to_nothing() -> None:
    profile = Profile.of({DEEP: 100_000})
    (problem,) = hints(profile, Quality(100_000_000, 100_000, 0, 0, 0, 0))
    assert problem.what == "0.1 % of the expected samples were taken"


def test_thresholds_are_passed_not_reached() -> None:
    profile = Profile.of({DEEP: 1000})
    assert hints(profile, Quality(1000, 1000, 0, 0.2, 0.01, 0.0)) == []
    assert len(hints(profile, Quality(1000, 1000, 0, 0.21, 0.011, 0.0))) == 2


@pytest.mark.parametrize(
    ("stacks", "lost", "expected", "grade"),
    [
        ({DEEP: 1000}, 0, 1000, Grade.SOUND),
        ({DEEP: 1000}, 10, 1010, Grade.SOUND),
        ({DEEP: 99}, 0, 99, Grade.ROUGH),
        ({DEEP: 19}, 0, 19, Grade.POOR),
        ({DEEP: 1000}, 0, 2001, Grade.POOR),
        ({DEEP: 1000}, 11, None, Grade.ROUGH),
        ({DEEP: 1000}, 251, None, Grade.POOR),
        ({DEEP: 50, (API, Frame("f")): 50}, 0, None, Grade.ROUGH),
        ({DEEP: 10, (API, Frame("f")): 90}, 0, None, Grade.POOR),
        ({DEEP: 79, (*DEEP, UNKNOWN): 21}, 0, None, Grade.ROUGH),
        ({DEEP: 49, (*DEEP, UNKNOWN): 51}, 0, None, Grade.POOR),
        ({DEEP: 98, (API, CUT, *DEEP): 2}, 0, None, Grade.ROUGH),
        ({DEEP: 79, (API, CUT, *DEEP): 21}, 0, None, Grade.POOR),
    ],
)
def test_the_worst_figure_is_the_verdict(
    stacks: dict[Stack, int], lost: int, expected: int | None, grade: Grade
) -> None:
    profile = Profile.of(stacks, lost=lost)
    quality = measure_quality(profile, expected)
    verdict = quality.verdict
    assert verdict is not None
    assert verdict.grade is grade
    known = {problem.what: problem.fix for problem in hints(profile, quality)}
    assert known.get(verdict.reason, "") == verdict.remedy
    assert (verdict.reason in known) is (grade is not Grade.SOUND)


def test_nameless_samples_are_told_by_module_the_worst_first() -> None:
    def nameless(module: str) -> Stack:
        return (*DEEP, Frame(f"[{module}]", FrameKind.UNRESOLVED, module=f"/usr/lib/{module}"))

    profile = Profile.of(
        {DEEP: 40, **{nameless(f"lib{n}.so"): n for n in range(1, 8)}, (*DEEP, KERNEL_HEX): 32}
    )
    quality = measure_quality(profile)
    assert list(quality.unresolved_by_module.items()) == [
        ("[kernel]", 0.32),
        ("lib7.so", 0.07),
        ("lib6.so", 0.06),
        ("lib5.so", 0.05),
        ("lib4.so", 0.04),
    ]
    assert quality.unresolved_share == 0.6


def test_a_short_stack_is_not_shallow_where_the_profiler_knows_its_beginning() -> None:
    short = Profile.of({(API, Frame("f")): 1000})
    assert measure_quality(short).shallow_share == 1
    quality = measure_quality(replace(short, whole_stacks=True))
    assert quality.shallow_share == 0
    assert quality.verdict is not None
    assert quality.verdict.grade is Grade.SOUND
