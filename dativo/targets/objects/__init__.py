"""Tables in object stores: plain Parquet, CSV or JSON lines, and a manifest that says which of the files count.

`layout` says where things lie, `manifest` what is known of a table, `commit` changes it in one step, `files` writes and
reads the data, `target` and `reading` are the two plug points.
"""
