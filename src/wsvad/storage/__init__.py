"""Files in an object store, by URL: `s3://BUCKET/KEY`, `gs://BUCKET/KEY`, `az://CONTAINER/KEY`.

`place` makes of what somebody gave a path of this machine (also of `file:///PATH`), or a `Remote`: a path, too, with
the methods that readers of files use. Objects are read in blocks as they are asked for; what only reads files of this
machine gets a copy in a cache of bounded size. An object is put whole, so that no reader ever sees a part of one.

Credentials are looked for by each store's own library, in the environment and its files of settings. What a library
says of an error is never shown, as it might hold some; only its code is.
"""

from wsvad.storage.asking import StorageError
from wsvad.storage.blocks import content_hash
from wsvad.storage.cache import staging
from wsvad.storage.remote import Remote, as_now, is_remote, listed, outgoing, place

__all__ = [
    "Remote",
    "StorageError",
    "as_now",
    "content_hash",
    "is_remote",
    "listed",
    "outgoing",
    "place",
    "staging",
]
