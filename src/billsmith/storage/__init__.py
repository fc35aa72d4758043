"""See README.md."""

from billsmith.storage import schema_billing as schema_billing
from billsmith.storage import schema_sync as schema_sync
