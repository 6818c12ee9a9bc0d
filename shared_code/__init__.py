"""What two or more of the three programs must agree on, and nothing else."""
