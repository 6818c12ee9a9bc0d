"""What was done to machines."""
