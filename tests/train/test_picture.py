"""Logarithmic axes that people read numbers from."""

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from altmin.train.picture import plain


def test_a_plain_axis_has_ticks_where_it_has_numbers():
    axes = Figure().subplots()
    axes.plot([1, 30], [1, 2])
    axes.set_xscale("log")
    plain(axes.xaxis)
    assert isinstance(axes.xaxis.get_minor_locator(), NullLocator)
    assert [x for x in axes.xaxis.get_majorticklocs() if 1 <= x <= 30] == [1, 2, 5, 10, 20]
