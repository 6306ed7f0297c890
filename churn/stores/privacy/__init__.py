"""What is held of one customer: found, handed out, erased; and predictions that have become old, archived.

Each place is a `Place`; those that need Feast's layout lie above, and `local.privacy` puts them together."""
