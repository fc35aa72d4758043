"""See README.md."""

from billsmith.storage import schema_billing as schema_billing
from billsmith.storage import schema_chain as schema_chain
from billsmith.storage import schema_changes as schema_changes
from billsmith.storage import schema_drafts as schema_drafts
from billsmith.storage import schema_issuers as schema_issuers
from billsmith.storage import schema_mail as schema_mail
from billsmith.storage import schema_reminders as schema_reminders
from billsmith.storage import schema_simulations as schema_simulations
from billsmith.storage import schema_sync as schema_sync
from billsmith.storage import schema_usage as schema_usage
from billsmith.storage import schema_webhooks as schema_webhooks
