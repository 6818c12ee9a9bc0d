"""Alembic's entry: runs the migrations on the connection that `shared_code.database.migrate` hands over."""

from alembic import context

from shared_code.database.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, compare_type=True, transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
