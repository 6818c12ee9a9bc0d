"""The API, described for people and programs."""
