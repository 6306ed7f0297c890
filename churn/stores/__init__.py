"""Adapters to what lies outside: settings, object store, traffic document, model registry, database.

Nothing is opened at import; libraries that only some roles have are imported where they are used."""
