"""Tables in databases: rows are staged in a local file and become visible in one transaction, with the job's state.

`dialect` says what a database must be able to do, `postgres` and `mysql` do it; `place` names a table, `memory` is the
table `dativo_state`, `staged` the local file, `commit` the transaction, `target` and `reading` are the two plug points.
"""
