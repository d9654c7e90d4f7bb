"""Upkeep of Iceberg tables: compaction, expiry of snapshots, removal of files and branches that nothing needs."""
