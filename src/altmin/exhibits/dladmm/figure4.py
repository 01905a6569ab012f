"""dlADMM's Figure 4: accuracies on MNIST."""

from altmin.exhibits.dladmm import performance
from altmin.exhibits.exhibit import Exhibit, register

register(Exhibit(name="dladmm-figure4", place="Figure 4", **performance("MNIST")))
