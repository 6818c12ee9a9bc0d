"""What runs by itself, by the clock or because somebody asks for it."""
