"""Training: from data to history."""
