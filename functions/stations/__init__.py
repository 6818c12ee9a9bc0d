"""The places where machines stand."""
