"""Feast: what the contract says, as entity, sources, views and a service; and what is done with them.

`registration` applies, `training` joins, `materialisation` fills the online store, `online` reads it."""
