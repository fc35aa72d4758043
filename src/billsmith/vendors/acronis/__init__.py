"""Acronis Advanced Automation. See README.md."""
