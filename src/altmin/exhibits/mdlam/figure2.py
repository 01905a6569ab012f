"""mDLAM's Figure 2: the accuracy on training samples beside full-batch gradient methods and ADMM."""

from altmin.exhibits.exhibit import register
from altmin.exhibits.mdlam import performance

register(performance("train", name="mdlam-figure2", place="Figure 2", title="Accuracy on training samples"))
