"""Train neural networks by alternating minimisation instead of backpropagation."""
