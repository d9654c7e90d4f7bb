"""Tables, views and queries of Postgres, read over ADBC inside one snapshot."""
