"""The ledger of a load: what was sent and what came back, line by line, and what that proves beside the store.

A line is written before a request is sent and another when its fate is known, so that a load that was killed has its
open requests on record. The file is JSON lines, readable by its owner alone.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloudms.errors import Denied, Exists, Invalid, NoCapacity, NotFound
from cloudms.workload.answers import Answer
from cloudms.workload.nouns import Verdict
from cloudms.workload.service import digest

_VERSION = 1
_BUDGET = 4_000_000
"""Rounds of hashing that are spent on proving hashes; of more, as many answers are proved as these allow."""
_PROVED = ("salt", "hash", "rounds")


class Ledger:
    """Writes the lines of a load, from any thread; without a file it writes nothing.

    Parameters: `run`, the name of the load, which its ids begin with; `url`, where it goes; `plates`, whether it sends
    plates, whose answers are in a store.
    Raises: Exists (the file is there), Denied.
    """

    def __init__(self, file: Path | None, *, run: str, url: str, plates: bool = True) -> None:
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._file = file
        if file is None:
            return
        try:
            self._handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except FileExistsError:
            raise Exists(f"{file} is there", hint="one ledger for one load: name another file") from None
        except OSError as error:
            raise Denied(f"{file} cannot be made: {error.strerror}", hint="name another --ledger") from None
        self._line({"load": run, "url": url, "plates": plates, "version": _VERSION})

    def sent(self, ident: str, plate: str, due: float) -> None:
        """Write that a request is about to be sent, which was due so many seconds after the beginning."""
        self._line({"sent": ident, "plate": plate, "due": round(due, 6)})

    def answered(self, ident: str, seconds: float, tries: int, answer: Mapping[str, Any]) -> None:
        """Write that a request was answered."""
        told = {name: answer[name] for name in (*_PROVED, "member", "repeated") if name in answer}
        self._line({"answered": ident, "seconds": round(seconds, 6), "tries": tries, **told})

    def failed(self, ident: str, tries: int, reason: str) -> None:
        """Write that a request was given up."""
        self._line({"failed": ident, "tries": tries, "reason": reason})

    def _line(self, document: Mapping[str, Any]) -> None:
        data = memoryview((json.dumps(document) + "\n").encode())
        try:
            with self._lock:
                while data and self._handle is not None:
                    data = data[os.write(self._handle, data) :]
        except OSError as error:
            raise NoCapacity(f"{self._file} cannot be written: {error.strerror}", hint="look at its disk") from None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


class Lines:
    """What a ledger says; `proved` is whether a store can prove it. Raises: NotFound, Denied, Invalid (it is none)."""

    def __init__(self, file: Path) -> None:
        self.run = ""
        self.url = ""
        self.proved = True
        self.plates: dict[str, str] = {}
        self.answers: dict[str, list[Mapping[str, Any]]] = {}
        self.failed: set[str] = set()
        for number, line in enumerate(_lines(file), 1):
            self._take(line, f"{file}:{number}")
        if not self.run:
            raise Invalid(f"{file} is no ledger", hint="cms load run --ledger FILE writes one")

    def _take(self, line: Mapping[str, Any], place: str) -> None:
        if "load" in line and line.get("version") == _VERSION:
            self.run, self.url = str(line["load"]), str(line.get("url", ""))
            self.proved = line.get("plates") is not False
        elif "sent" in line:
            self.plates[str(line["sent"])] = str(line.get("plate", ""))
        elif "answered" in line:
            self.answers.setdefault(str(line["answered"]), []).append(line)
        elif "failed" in line:
            self.failed.add(str(line["failed"]))
        else:
            raise Invalid(f"{place} is no line of a ledger", hint="cms load run --ledger FILE writes one")


def _lines(file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a ledger; the last one may be cut off where the writer was killed."""
    try:
        texts = file.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise NotFound(f"there is no file {file}", hint="cms load run --ledger FILE writes one") from None
    except OSError as error:
        raise Denied(f"{file} cannot be read: {error.strerror}", hint="is it your file?") from None
    for number, text in enumerate(texts[:-1], 1):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Invalid(f"{file}:{number} is no line of a ledger", hint="cms load run --ledger FILE writes one")
        yield found


def prove(lines: Lines, stored: Iterable[Answer] | None = None) -> Verdict:
    """Return what a ledger proves, with the answers of its load that the store has, when it was asked."""
    sent = lines.plates.keys()
    answers = {ident: found[0] for ident, found in lines.answers.items()}
    kept: dict[str, Answer] | None = None
    twice: list[str] = []
    if stored is not None:
        kept = {}
        for answer in stored:
            (twice.append(answer.id) if answer.id in kept else kept.setdefault(answer.id, answer))
    wrong, verified = _wrong(lines.plates, answers)
    facts = {
        "failed": lines.failed - answers.keys(),
        "lost": sent - answers.keys() - lines.failed,
        "doubled": {ident for ident, found in lines.answers.items() if len(found) > 1}.union(twice),
        "missing": answers.keys() - kept.keys() if kept is not None else (),
        "different": _different(answers, kept) if kept is not None else (),
        "unknown": (answers.keys() | (kept or {}).keys()) - sent,
        "wrong": wrong,
    }
    named: dict[str, Any] = {name: tuple(sorted(found)) for name, found in facts.items()}
    return Verdict(
        name=lines.run,
        good=not any(named.values()),
        sent=len(sent),
        answered=len(answers),
        stored=None if kept is None else len(kept),
        verified=verified,
        repeated=sum(answer.tries > 1 for answer in (kept or {}).values()),
        members=dict(sorted(Counter(str(a["member"]) for a in answers.values() if "member" in a).items())),
        **named,
    )


def _different(answers: Mapping[str, Mapping[str, Any]], kept: Mapping[str, Answer]) -> set[str]:
    """Return the ids whose answer is not what is stored."""
    return {
        ident
        for ident, answer in answers.items()
        if ident in kept and any(answer.get(name) != getattr(kept[ident], name) for name in _PROVED)
    }


def _wrong(plates: Mapping[str, str], answers: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], int]:
    """Return the ids whose hash is not that of the plate that was sent, and how many were computed anew."""
    known = sorted(ident for ident, answer in answers.items() if "hash" in answer and ident in plates)
    cost = sum(_rounds(answers[ident]) for ident in known)
    chosen: Sequence[str] = known[:: max(-(-cost // _BUDGET), 1)]
    return [ident for ident in chosen if not _fits(plates[ident], answers[ident])], len(chosen)


def _rounds(answer: Mapping[str, Any]) -> int:
    rounds = answer.get("rounds")
    return rounds if type(rounds) is int and rounds > 0 else 0


def _fits(plate: str, answer: Mapping[str, Any]) -> bool:
    try:
        return digest(plate, str(answer["salt"]), int(answer["rounds"])) == str(answer["hash"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return False


def told(verdict: Verdict) -> str:
    """Return a verdict as a sentence."""
    named = ("failed", "lost", "doubled", "missing", "different", "unknown", "wrong")
    words = {"missing": "not stored", "different": "stored otherwise", "unknown": "never sent", "failed": "given up"}
    wrong = [
        f"{len(ids)} {words.get(name, name)} ({', '.join(ids[:3])}{', …' if len(ids) > 3 else ''})"
        for name in named
        if (ids := getattr(verdict, name))
    ]
    if wrong:
        return f"of {verdict.sent} requests {verdict.answered} were answered; {'; '.join(wrong)}"
    stored = " and stored once" if verdict.stored is not None else ""
    again = f"; the work of {verdict.repeated} was done more than once" if verdict.repeated else ""
    return f"each of {verdict.sent} requests was answered exactly once{stored}{again}"
