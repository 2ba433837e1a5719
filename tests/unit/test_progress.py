"""Reports reach the innermost callback, and cost nothing without one."""

from wsvad.progress import Progress, on_progress, report_progress, track


def test_track_reports_before_the_first_and_after_each():
    seen = []
    with on_progress(seen.append):
        assert list(track("ab", "count")) == ["a", "b"]
        assert list(track(iter("a"), "iterator")) == ["a"]
    expected = [("count", 0, 2), ("count", 1, 2), ("count", 2, 2), ("iterator", 0, None), ("iterator", 1, None)]
    assert [(one.task, one.done, one.total) for one in seen] == expected


def test_the_inner_callback_takes_the_place_of_the_outer_one_and_gives_it_back():
    outer, inner = [], []
    with on_progress(outer.append):
        with on_progress(inner.append):
            report_progress("task", 1, 2, "half")
        report_progress("task", 2, 2)
    report_progress("task", 3, 2)
    assert inner == [Progress(task="task", done=1, total=2, detail="half")]
    assert outer == [Progress(task="task", done=2, total=2)]
