"""mDLAM's Figure 3: the accuracy on test samples beside full-batch gradient methods and ADMM."""

from altmin.exhibits.exhibit import register
from altmin.exhibits.mdlam import performance

register(performance("test", name="mdlam-figure3", place="Figure 3", title="Accuracy on test samples"))
