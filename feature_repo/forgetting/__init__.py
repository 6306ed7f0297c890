"""The online store, in every project and view, asked for one customer by what Feast wrote. Needs no Feast.

A view that no contract speaks of any more still holds its customers, so that tables and keys are looked at as they are:
an entity key says itself how its join key is called, of what type it is, and whom it names."""
