"""Amberflo. See README.md."""
