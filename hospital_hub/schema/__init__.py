"""The database schema: one migration per version, run by Alembic when the hub starts."""
