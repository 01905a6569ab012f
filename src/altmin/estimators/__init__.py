"""Estimators in the manner of scikit-learn."""

from altmin.estimators.classifier import AltMinClassifier
from altmin.estimators.regressor import AltMinRegressor

__all__ = ["AltMinClassifier", "AltMinRegressor"]
