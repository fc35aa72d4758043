"""How Alembic runs here: on the connection that it is handed, one transaction for the whole upgrade."""

from alembic import context

from billsmith.storage.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
