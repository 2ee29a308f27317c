"""Alembic runs this file: migrations go through the connection, and into the transaction, of whoever asks for them."""

from alembic import context

attributes = context.config.attributes
context.configure(connection=attributes["connection"], version_table=attributes["version_table"])
with context.begin_transaction():
    context.run_migrations()
