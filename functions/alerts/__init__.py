"""What went wrong with machines, and what people do about it."""
