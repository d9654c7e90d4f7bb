"""Small databases made by seeded scripts: a film rental with keys, views, odd types and odd names, for each database."""
