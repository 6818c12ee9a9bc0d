"""An organization's machines and stations as a whole."""
