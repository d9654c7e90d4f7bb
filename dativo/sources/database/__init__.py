"""What sources that are databases share: the window of a reading, its columns, its cursor, its frame."""
