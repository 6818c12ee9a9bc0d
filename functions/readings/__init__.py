"""Aggregated readings of one machine."""
