"""What organizations pay for."""
