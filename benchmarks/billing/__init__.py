"""Billing: runs, issuing, simulation. See README.md."""
