"""Reading the online store by the layout that a bundle froze, without importing Feast: Redis and SQLite as they are."""
