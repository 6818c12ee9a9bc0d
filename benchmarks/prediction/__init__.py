"""Prediction, measured: on our own fleets, on a real compressor, and on turbofans run to failure."""
