"""The binary protocol of MySQL and MariaDB: rows as they come on the wire, and the columns that they are."""
