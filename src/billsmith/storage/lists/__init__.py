"""How a list of invoices is read, fast and plain. See README.md."""
