"""Probes: does this program live, and can it work."""
