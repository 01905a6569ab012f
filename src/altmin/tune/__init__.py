"""Searches for a method's numbers: what is searched, its trials by optuna, and what came of them."""

from altmin.tune.search import Search as Search
from altmin.tune.space import Axis as Axis
from altmin.tune.space import axes_of as axes_of
from altmin.tune.space import with_numbers as with_numbers
