"""Simulates a fleet of natural-gas compressors and the landing files its field gateways deliver."""
