"""How good the data of machines is, day by day."""
