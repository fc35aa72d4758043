"""See README.md."""

from billsmith.storage import schema_sync as schema_sync
