"""What is held of one customer: found, handed out, erased; and predictions that have become old, archived.

Each place is a `Place`; those that need Feast's layout or a batch's lie above, and `local.privacy` puts them together.

Beside a running training an erasure is safe: files are replaced whole, and old addresses lead to what they became. But
a step that has read the customer before may write them again: then the next erasure finds them, and so does the look
that each takes at its end. A batch that has scored them and not published yet finds its shards gone. Not reached are
tables of people's own (which are named), the disks and caches of other machines, step artifacts that a cluster keeps
elsewhere, backups, and what a bucket with versions or PostgreSQL before its next vacuum still has of what was deleted.
Rows without a key (tables without one, a bundle's reference sample and example) lead to nobody, and stay."""
