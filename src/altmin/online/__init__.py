"""The parts of online alternating minimisation."""
