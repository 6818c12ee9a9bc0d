"""Days before a machine fails: what says so, how sure it is, and how many hours remain at least."""
