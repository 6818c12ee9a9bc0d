"""The organization itself: who and what may act for it."""
