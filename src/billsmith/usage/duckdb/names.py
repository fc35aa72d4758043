"""What the store's files are called in a data folder: for those who look after them without opening the store."""

#: The data, its log beside it, the identity index, who owns the store, and where the owner answers.
FILE = "usage.duckdb"
LOG = f"{FILE}.wal"
INDEX = "usage.index"
LOCK = "usage.lock"
SOCKET = "usage.sock"
