"""What is held and owed: double-entry postings, wallets, commitments. See README.md."""
