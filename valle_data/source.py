"""What tells one content of a recording from another."""

import xxhash

CHUNK_BYTES = 1 << 20


def file_digest(path: str) -> str:
    """xxh3-128 of a file's bytes. Raises OSError."""
    digest = xxhash.xxh3_128()
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
