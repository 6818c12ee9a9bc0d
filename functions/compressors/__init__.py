"""The machines, and how each of them is."""
