"""What a method works on: problem, variables and samples in one object, and a view of each layer."""

from altmin.sweep.layer import LayerView
from altmin.sweep.penalty import Penalty, network_terms, penalty_terms
from altmin.sweep.products import Products, worth_keeping
from altmin.sweep.sweep import Sweep

__all__ = ["LayerView", "Penalty", "Products", "Sweep", "network_terms", "penalty_terms", "worth_keeping"]
