"""What is offered. See README.md."""

from billsmith.catalog.catalog import Catalog, PriceBook
from billsmith.catalog.reading import parse

__all__ = ["Catalog", "PriceBook", "parse"]
