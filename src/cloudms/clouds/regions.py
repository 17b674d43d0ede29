"""Several regions of one cloud asked side by side: a broken one is named and never blocks the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from cloudms.errors import CloudmsError, MissingExtra

T = TypeVar("T")

_WIDEST = 16


def each(regions: Sequence[str], do: Callable[[str], Iterable[T]]) -> Iterator[T]:
    """Yield what `do` returns for every region, asked in parallel; those that fail are raised after all rows.

    Raises: the error of the broken region, named; with several, that of the first with all of them named.
    """
    if len(regions) == 1:
        yield from do(regions[0])
        return
    from concurrent.futures import ThreadPoolExecutor, as_completed

    failed: dict[str, CloudmsError] = {}
    with ThreadPoolExecutor(max_workers=min(len(regions), _WIDEST)) as pool:
        asked = {pool.submit(_collect, do, region): region for region in regions}
        for done in as_completed(asked):
            rows, error = done.result()
            yield from rows
            if error is not None:
                failed[asked[done]] = error
    if failed:
        raise together(failed, regions)


def together(failed: dict[str, CloudmsError], regions: Sequence[str]) -> CloudmsError:
    """Return one error for the regions that failed, as retryable as the first of them that is worth a retry."""
    names = [region for region in regions if region in failed]
    first = next((failed[name] for name in names if failed[name].retryable), failed[names[0]])
    said = first.message if len(names) == 1 else f"{len(names)} regions did not answer ({', '.join(names)}): {first}"
    if not any(name in said for name in names):
        said = f"{names[0]}: {said}"
    details = {**first.details, "regions": names, "complete": [name for name in regions if name not in failed]}
    return _like(first, said, details)


def _like(error: CloudmsError, message: str, details: dict[str, Any]) -> CloudmsError:
    if isinstance(error, MissingExtra):
        return error
    return type(error)(message, hint=error.hint, details=details)


def _collect(do: Callable[[str], Iterable[T]], region: str) -> tuple[list[T], CloudmsError | None]:
    """Return the rows of a region, those that came before its error included, and the error."""
    rows: list[T] = []
    try:
        for row in do(region):
            rows.append(row)
    except CloudmsError as error:
        return rows, error
    return rows, None
