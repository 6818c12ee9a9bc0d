"""How much each may ask: so many requests a minute and address, and a minute and organization."""
