"""dlADMM's Figure 5: accuracies on Fashion-MNIST."""

from altmin.exhibits.dladmm import performance
from altmin.exhibits.exhibit import Exhibit, register

register(Exhibit(name="dladmm-figure5", place="Figure 5", **performance("Fashion-MNIST")))
