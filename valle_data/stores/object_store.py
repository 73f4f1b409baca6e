"""Object stores through fsspec: whole objects, ranges, and a create that fails where the object exists.

Transient failures (503, timeouts, cut bodies) are tried again a few times, at random and growing intervals. What then still fails is `storage_failed` with
the object's address and the name of the failure; never with the text a server or a library sent, which may hold credentials.
"""

import os
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from valle_data.errors import EnvironmentProblem, InputError, ReasonCode
from valle_data.stores.base import Entry, Store

T = TypeVar("T")

ATTEMPTS = 6
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 10.0
TIMEOUT_S = 60.0
GAP_BYTES = 64 * 1024

_FINAL = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
_FINAL_CODES = frozenset(("NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "AccessDenied", "PreconditionFailed"))
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,60}")


@cache
def object_store(scheme: str) -> "ObjectStore":
    """The store behind `scheme://`, reached as fsspec and the scheme's own environment variables say (`AWS_ENDPOINT_URL`, `FSSPEC_S3_...`)."""
    return ObjectStore(scheme)


class ObjectStore(Store):
    """See the module. A put is whole or nothing, so objects are written under their final names."""

    renames = False

    def __init__(self, scheme: str) -> None:
        try:
            import fsspec
            import tenacity  # noqa: F401 - found missing here rather than at the first failure
            from fsspec.config import conf
        except ImportError as error:
            raise EnvironmentProblem(
                f"Data sets at {scheme}:// need the package {error.name!r}, which is not installed. Install it with: pip install 'valle[s3]'"
            ) from None
        try:
            self._files: Any = fsspec.filesystem(scheme, use_listings_cache=False, **_options(scheme, conf))
        except ImportError as error:
            raise EnvironmentProblem(f"{scheme}:// needs a package that is not installed: {error}. For s3: pip install 'valle[s3]'") from None
        except ValueError:
            raise EnvironmentProblem(f"No installed package knows addresses like {scheme}://. For s3: pip install 'valle[s3]'") from None
        # One layer of retries, ours: s3fs and botocore would try five times each within each other.
        self._files.retries = 1

    def read(self, path: Path) -> bytes:
        return _tried("read", path, lambda: self._files.cat_file(_key(path)))

    def read_ranges(self, path: Path, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Requests run side by side; ranges less than `GAP_BYTES` apart share one."""
        merged = coalesce(ranges)

        def fetch() -> list[bytes]:
            found = self._files.cat_ranges([_key(path)] * len(merged), [start for start, _ in merged], [stop for _, stop in merged], on_error="raise")
            for data, (start, stop) in zip(found, merged, strict=True):
                if len(data) != stop - start:
                    raise TimeoutError(f"{len(data)} of {stop - start} bytes came")
            return found

        blocks = dict(zip(merged, _tried("read ranges of", path, fetch), strict=True))
        return [next(data[start - a : stop - a] for (a, b), data in blocks.items() if a <= start and stop <= b) for start, stop in ranges]

    def write_new(self, path: Path, data: bytes) -> None:
        self.write_atomically(path, data)

    def write_atomically(self, path: Path, data: bytes) -> None:
        _tried("write", path, lambda: self._files.pipe_file(_key(path), data))

    def create_once(self, path: Path, data: bytes) -> bool:
        """With `If-None-Match: *` where the store knows it (S3 does; the server decides, so two writers cannot both win).

        A store that does not know it is asked whether the object exists first: there two writers at the same moment may both believe they won.
        """
        if self.entry(path) is not None:
            return False

        def create() -> bool:
            try:
                self._files.pipe_file(_key(path), data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if _name(error) != "PreconditionFailed":
                    raise
                return False
            return True

        return _tried("create", path, create)

    def move(self, source: Path, target: Path) -> None:
        _tried("copy to", target, lambda: self._files.cp_file(_key(source), _key(target)))
        self.discard(source)

    def discard(self, path: Path) -> None:
        def remove() -> None:
            try:
                self._files.rm_file(_key(path))
            except FileNotFoundError:
                return

        _tried("remove", path, remove)

    def entry(self, path: Path) -> Entry | None:
        """The object at `path`, None where there is none."""

        def look() -> Entry | None:
            try:
                return _entry(self._files.info(_key(path)))
            except FileNotFoundError:
                return None

        return _tried("look at", path, look)

    def entries(self, folder: Path, ending: str = "") -> list[Entry]:
        def listed() -> list[Entry]:
            try:
                found = self._files.ls(_key(folder), detail=True)
            except FileNotFoundError:
                return []
            return [entry for item in found if (entry := _entry(item)) is not None and entry.name and entry.name.endswith(ending)]

        return sorted(_tried("list", folder, listed), key=lambda entry: entry.name)

    def make_folder(self, folder: Path) -> None:
        """Nothing to do: a folder is part of the names in it."""

    def sync_folder(self, folder: Path) -> None:
        """Nothing to do: an object is there when its put has returned."""


def _options(scheme: str, configured: dict[str, Any]) -> dict[str, Any]:
    """What a file system is asked for beside its own environment and the user's fsspec configuration."""
    if scheme not in ("s3", "s3a"):
        return {}
    ours = {"retries": {"total_max_attempts": 1}, "connect_timeout": TIMEOUT_S, "read_timeout": TIMEOUT_S}
    return {"config_kwargs": {**ours, **configured.get(scheme, {}).get("config_kwargs", {})}}


def coalesce(ranges: Sequence[tuple[int, int]], gap_bytes: int = GAP_BYTES) -> list[tuple[int, int]]:
    """The fewest ranges that cover `ranges` without bridging more than `gap_bytes`, in order."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and start - merged[-1][1] <= gap_bytes:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged


def _key(path: Path) -> str:
    """`bucket/folder/name`, as fsspec wants it."""
    return "/".join(path.parts[1:])


def _entry(info: dict[str, Any]) -> Entry | None:
    if info["type"] != "file":
        return None
    modified: Any = info.get("LastModified") or info.get("mtime") or info.get("created")
    stamp = modified.timestamp() if hasattr(modified, "timestamp") else float(modified or 0)
    return Entry(info["name"].rpartition("/")[2], int(info["size"] or 0), round(stamp * 1e9), str(info.get("ETag") or info.get("etag") or ""))


def _name(error: BaseException) -> str:
    """What to call a failure: the code a server gave, where it looks like one, else the class."""
    for seen in (error, error.__cause__):
        response = getattr(seen, "response", None)
        code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
        if isinstance(code, str) and _CODE.fullmatch(code):
            return code
    number = getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) and number > 0 else type(error).__name__


def _is_ours(error: BaseException) -> bool:
    """Whether an error is a mistake in this program rather than news from the store; libraries for stores raise classes of their own."""
    return type(error).__module__ == "builtins" and not isinstance(error, OSError)


def _is_transient(error: BaseException) -> bool:
    return not (_is_ours(error) or isinstance(error, _FINAL) or _name(error) in _FINAL_CODES or not isinstance(error, Exception))


def _tried(action: str, path: Path, call: Callable[[], T]) -> T:
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    wait = wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)
    retrying = Retrying(stop=stop_after_attempt(ATTEMPTS), wait=wait, retry=retry_if_exception(_is_transient), reraise=True)
    try:
        return cast(T, retrying(call))
    except Exception as error:
        if _is_ours(error):
            raise
        # `from None`: what the library said may hold credentials, and tracebacks go to log files.
        raise _refusal(action, path, error) from None


def _refusal(action: str, path: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(ReasonCode.MISSING_SHARD, f"There is no {path}. Restore it, or run `valle repair` to see what else is missing.")
    if isinstance(error, PermissionError):
        return InputError(
            ReasonCode.STORAGE_FAILED,
            f"Could not {action} {path}: {_name(error)}. The credentials are missing, wrong or expired; renew them and run the same command again: it resumes.",
        )
    tries = f" after {ATTEMPTS} attempts" if _is_transient(error) else ""
    return InputError(
        ReasonCode.STORAGE_FAILED,
        f"Could not {action} {path}{tries}: {_name(error)}. Look at the store and its address, and run the same command again: it resumes.",
    )
