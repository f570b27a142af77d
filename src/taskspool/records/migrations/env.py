"""Where Alembic begins: it runs this file under the name ``env_py``. Imported under its own name it does nothing."""

from __future__ import annotations

from alembic import context

from taskspool.records.tables import METADATA

VERSION_TABLE = "taskspool_revision"
"""Not Alembic's usual name: a database on a server may hold another program's tables too."""


def run() -> None:
    """Run what was asked for over the connection in the configuration's ``attributes``; who gave it commits."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA,
                      version_table=VERSION_TABLE)
    context.run_migrations()


if __name__ == "env_py":
    run()
