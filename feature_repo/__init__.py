"""Feast, made from the contract: `registration` applies entity, sources, views and service, `training` joins,
`materialisation` fills the online store, `online` reads it."""
