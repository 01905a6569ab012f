"""What the papers leave open or only promise, as exhibits of this library."""
