"""What Alembic runs before the scripts: the caller hands over an open connection, inside its transaction.

Alembic loads this file by its path, so it imports nothing of the package.
"""

from alembic import context

context.configure(**context.config.attributes["configure"])
with context.begin_transaction():
    context.run_migrations()
