"""MySQL and MariaDB: tables, views and queries, read in the server's binary protocol within one snapshot."""
