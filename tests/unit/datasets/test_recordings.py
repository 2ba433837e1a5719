"""What a camera saw while each of its recordings was made."""

from hypothesis import given
from hypothesis import strategies as st

from wsvad.datasets.recordings import Happened, _Seen

moments = st.floats(0, 20)
spans = st.tuples(moments, moments).filter(lambda span: span[0] < span[1])


@given(st.lists(spans, max_size=12), spans)
def test_what_is_seen_between_two_moments_is_what_shares_one_with_them(events, recording):
    start, end = recording
    happened = [Happened(camera="gate", start=a, end=b, category=None) for a, b in events]
    found = _Seen(happened).between(start, end)
    assert found == sorted((one for one in happened if one.start < end and one.end > start), key=lambda one: one.start)
