"""Who: accounts, credentials, and the one rule of what an account may see and do. See README.md."""
