"""How layers' weights move on their own objectives: one file a rule."""

from altmin.online.rules.adam import Adam
from altmin.online.rules.base import Rule, StepRule
from altmin.online.rules.co_activation import CoActivationMemory
from altmin.online.rules.gradient import GradientRule, OptimizerMemory, descend, set_gradient
from altmin.online.rules.newton import Newton
from altmin.online.rules.optimizer import OptimizerRule
from altmin.online.rules.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "CoActivationMemory",
    "GradientRule",
    "Newton",
    "OptimizerMemory",
    "OptimizerRule",
    "Rule",
    "StepRule",
    "descend",
    "set_gradient",
]
