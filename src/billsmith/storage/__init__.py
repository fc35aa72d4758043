"""See README.md."""

from billsmith.storage import schema_billing as schema_billing
