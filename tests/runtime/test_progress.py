import re
from io import StringIO

import pytest
from rich.console import Console

from ltjax.runtime import progress


def console(terminal, **more):
    return Console(file=StringIO(), force_terminal=terminal, width=80, **more)


def shown(console):
    """What was printed, without colours and cursor movements; frames as lines."""
    text = console.file.getvalue().replace("\r", "\n")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


class Clock:
    """A time that only the test moves."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_a_terminal_shows_a_bar_that_fills():
    out = console(terminal=True)
    with progress.stage(out, "classify swa", 4) as advance:
        for _ in range(4):
            advance("swa-srepr-c-dirichlet")
    frames = [line for line in shown(out).splitlines() if line.strip()]
    assert "0/4" in frames[0]
    assert "4/4" in frames[-1]
    for frame in frames:
        assert frame.startswith("classify swa")
        assert "━" in frame
        assert len(frame) <= 80
    assert "in 0 s" in frames[-1]
    assert frames[-1].rstrip().endswith("swa-srepr-c-dirichlet")


LONGEST = "loss 12.152, acc 100.0 %, lr 0.00976"


def test_the_longest_training_text_fits_in_80_columns():
    out = console(terminal=True)
    with progress.stage(out, "train sgd", 200, 199) as advance:
        advance(LONGEST)
    assert shown(out).splitlines()[-1].endswith(LONGEST)


def test_what_does_not_fit_is_cut_and_moves_nothing():
    out = console(terminal=True)
    with progress.stage(out, "train sgd", 200, 198) as advance:
        advance()
        advance(LONGEST + ", input 347 images/s, step 47 images/s")
    first, *_, last = (line for line in shown(out).splitlines() if line.strip())
    assert len(last) == 80
    assert last.endswith("…")
    assert first.index("/200") == last.index("/200")


def test_within_one_of_many_the_bar_moves_and_the_count_does_not(monkeypatch):
    clock, out = Clock(monkeypatch), console(terminal=True)
    with progress.stage(out, "train sgd", 2) as advance:
        clock.now += 7
        advance(to=0.5)
    *_, last = shown(out).splitlines()
    assert "━━╸" in last
    assert " 0/2 ETA 21 s" in last


def test_a_bar_starts_where_an_earlier_process_stopped():
    out = console(terminal=True)
    with progress.stage(out, "train swa", 5, 3) as advance:
        advance()
    text = shown(out)
    assert text.index("3/5") < text.index("4/5")
    assert "0/5" not in text
    assert "5/5" not in text


def test_elsewhere_a_line_now_and_then_and_one_at_the_end(monkeypatch):
    clock, out = Clock(monkeypatch), console(terminal=False)
    with progress.stage(out, "train sgd", 10) as advance:
        for epoch in range(10):
            clock.now += 9
            advance(f"loss {epoch}")
    assert out.file.getvalue().splitlines() == [
        "train sgd: 3/10, 27 s, ETA 63 s, loss 2",
        "train sgd: 6/10, 54 s, ETA 36 s, loss 5",
        "train sgd: 9/10, 81 s, ETA 9 s, loss 8",
        "train sgd: 10/10, 90 s, loss 9",
    ]


def test_the_eta_counts_only_what_this_process_did(monkeypatch):
    clock, out = Clock(monkeypatch), console(terminal=False)
    with progress.stage(out, "train sgd", 10, 6) as advance:
        clock.now += 30
        advance()
    assert out.file.getvalue() == "train sgd: 7/10, 30 s, ETA 90 s\n"


def test_the_eta_leaves_out_what_came_first_and_counts_down(monkeypatch):
    clock, pace = Clock(monkeypatch), progress.Pace(10)
    assert pace.left() is None
    clock.now += 60  # of which 50 are compilation
    pace.reach(1)
    assert pace.left() == 540
    clock.now += 10
    pace.reach(2)
    assert pace.left() == 80
    clock.now += 10
    pace.reach(2.5)  # half as fast
    assert pace.left() == pytest.approx(100)
    clock.now += 30
    assert pace.left() == pytest.approx(70)
    clock.now += 300
    assert pace.left() == 0
    assert pace.seconds() == 410


def test_a_line_tells_parts_of_one_and_long_times(monkeypatch):
    clock, out = Clock(monkeypatch), console(terminal=False)
    with progress.stage(out, "train sgd", 90) as advance:
        clock.now += 99.6
        advance(to=0.25)
        clock.now += 3600
        advance(to=1)
    assert out.file.getvalue().splitlines() == [
        "train sgd: 0.2/90, 1:40, ETA 9:55:56",
        "train sgd: 1/90, 1:01:40, ETA 118:40:00",
    ]


def test_a_finished_stage_prints_no_line():
    out = console(terminal=False)
    with progress.stage(out, "train sgd", 5, 5):
        pass
    assert out.file.getvalue() == ""


def test_lines_are_not_wrapped_and_hold_no_control_characters():
    out = console(terminal=False)
    with progress.stage(out, "classify swa", 1) as advance:
        advance("[a]" * 50)
    assert out.file.getvalue().count("\n") == 1
    assert "[a]" * 50 in out.file.getvalue()
    assert "\x1b" not in out.file.getvalue()


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    out = console(terminal=True)
    with progress.stage(out, "train sgd", 1) as advance:
        advance()
    assert shown(out).startswith("train sgd: 1/1, ")


@pytest.mark.parametrize("terminal", [True, False])
def test_an_error_inside_passes_through(terminal):
    out = console(terminal)
    with pytest.raises(KeyError), progress.stage(out, "train sgd", 3):
        raise KeyError
