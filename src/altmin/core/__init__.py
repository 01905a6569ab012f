"""What is minimised, over which samples, and the variables."""
