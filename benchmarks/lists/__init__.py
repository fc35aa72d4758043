"""How fast a page of a million invoices is, face by face. See ../README.md."""
