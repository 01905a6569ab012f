"""Online AM's Figure 10: the Elman network with 50 units."""

from altmin.exhibits.exhibit import register
from altmin.exhibits.online.figure7a import recurrent
from altmin.methods import Mu

register(
    recurrent(
        50, Mu(start=0.01, add=1e-4, factor=1.0, most=1.0), 0.005, "l1:0.01", name="online-rnn-50", place="Figure 10"
    )
)
