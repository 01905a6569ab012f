"""From an `nn.Sequential` to a problem and its weights, and back."""
