"""SQLite: tables, views and queries of a database file, read within one transaction."""
