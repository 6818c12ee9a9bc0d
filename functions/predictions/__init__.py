"""What becomes of machines, and how well that was foretold."""
