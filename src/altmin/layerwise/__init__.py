"""One layer at work: its value, its derivatives, and what is fitted to it alone."""
