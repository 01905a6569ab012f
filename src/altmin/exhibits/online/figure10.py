"""Online AM's Figure 10: the Elman network with 50 units."""

from altmin.exhibits.exhibit import register
from altmin.exhibits.online.figure7a import recurrent
from altmin.methods import Mu

CLAIM = "The figure has no words of its own; those for 15 units are that AM-Adam is like Adam first, and ahead of SGD."

MU = Mu(start=0.01, add=1e-4, factor=1.0, most=1.0)

register(recurrent(50, MU, 0.005, "l1:0.01", name="online-rnn-50", place="Figure 10", claim=CLAIM))
