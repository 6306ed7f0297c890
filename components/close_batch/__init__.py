"""Close a batch: all parts are there, so that the whole appears at once; and what there is to say of it."""
