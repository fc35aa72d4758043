"""Billsmith: usage-based billing and invoicing in one package. The tour is in docs/way-of-an-event.md."""

__version__ = "0.1.0"
