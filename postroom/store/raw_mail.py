"""Where do the bytes of a mail lie? In the database, or, where `[raw_mail]` says so, in a store of objects.

    content, no place    in the database
    a place, no content  in the object of that name; it was there before the row that names it was committed
    empty content        nowhere: they were erased, and what is fetched again is still known by its digest

What comes in is put aside before its transaction begins. What goes out is written in the transaction that decides on it,
in which nobody may wait for a network: it lies in the database first, and `work()` moves what is large. An object that no row
names any more is deleted after the commit that took its name away, by `work()` too, as often as it takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from sqlalchemy import Connection, delete, func, select, update

from postroom.errors import ConfigError, TemporaryFailure
from postroom.store.engine import OBJECTS, insert_new
from postroom.store.objects import Unreadable, name_for
from postroom.store.tables import InboundEmail, RawMail, RawTask

if TYPE_CHECKING:
    from postroom.store.engine import Store
    from postroom.store.objects import Objects

DELETE, PUT = "delete", "put"  # what a task is: an object's name to delete, a mail's digest to put
DELETED_AT_ONCE = 100
PUT_AT_ONCE = 8
NAMES_AT_ONCE = 400  # in one query; databases bound the number of parameters
IN_DATABASE: Mapping[str, str] = {}
LOST = "raw_mail.url: is empty, and the bytes of this mail lie in a store of objects: {}"


class Lying(Protocol):
    """What has been claimed with the bytes of its mail, or with the place where they lie."""

    @property
    def raw(self) -> bytes: ...
    @property
    def place(self) -> str | None: ...


L = TypeVar("L", bound=Lying)


def put_aside(objects: Objects | None, contents: Mapping[str, bytes]) -> Mapping[str, str]:
    """Put what is large of these (by digest) into the store of objects; where each of that lies now, by digest.

    Raises TemporaryFailure, within the time of one request.
    """
    if objects is None:
        return IN_DATABASE
    places = {digest: name_for(raw) for digest, raw in contents.items() if len(raw) >= max(objects.least, 1)}
    objects.put_all({name: contents[digest] for digest, name in places.items()})
    return places


def rows_of(contents: Mapping[str, bytes], places: Mapping[str, str] = IN_DATABASE) -> list[dict[str, Any]]:
    """The rows of these mails, by digest; those that have a place without their bytes."""
    if not places:
        return [{"digest": digest, "size": len(raw), "content": raw} for digest, raw in contents.items()]
    return [
        {"digest": digest, "size": len(raw), "place": places.get(digest), "content": None if digest in places else raw}
        for digest, raw in contents.items()
    ]


def whole(connection: Connection, content: bytes | None, place: str | None) -> bytes:
    """The bytes of a row. Raises TemporaryFailure, and Unreadable where they are gone or are others."""
    if place is None:
        return content or b""
    return _objects(connection, place).get(place)


def read(connection: Connection, digest: str) -> bytes:
    """The bytes of a mail. Raises as `whole` does."""
    found = connection.execute(select(RawMail.content, RawMail.place).where(RawMail.digest == digest)).one()
    return whole(connection, *found)


def fetched(objects: Objects | None, claimed: Sequence[L]) -> Sequence[L | TemporaryFailure | Unreadable]:
    """These with their bytes, or why one has none, in their order; outside of any transaction.

    Those whose bytes came with them are given back as they are.
    """
    places = [one.place for one in claimed if one.place is not None]
    if not places:
        return claimed
    if objects is None:
        raise ConfigError(LOST.format(places[0]))
    found = objects.get_all(places)
    answers: list[L | TemporaryFailure | Unreadable] = []
    for one in claimed:
        raw = found[one.place] if one.place is not None else one.raw
        answers.append(replace(one, raw=raw) if isinstance(raw, bytes) else raw)  # type: ignore[type-var]
    return answers


def restore(connection: Connection, contents: Mapping[str, bytes], places: Mapping[str, str]) -> None:
    """Put erased bytes back that have come anew; those that are there stay as they are."""
    for row in rows_of(contents, places):
        erased = (RawMail.digest == row["digest"], func.length(RawMail.content) == 0)
        values = {"content": row["content"], "place": row.get("place")}
        connection.execute(update(RawMail).where(*erased).values(values))


def empty(connection: Connection, digests: Sequence[str]) -> None:
    """Erase bytes, whoever refers to them; an object is deleted after the commit."""
    if not digests:
        return
    _leave(connection, digests)
    connection.execute(update(RawMail).where(RawMail.digest.in_(digests)).values(content=b"", place=None))


def rewrite(connection: Connection, digest: str, content: bytes) -> None:
    """Put other bytes in the place of a mail's; its digest stays."""
    _leave(connection, [digest])
    connection.execute(update(RawMail).where(RawMail.digest == digest).values(content=content, place=None))
    put_later(connection, [{"digest": digest, "size": len(content)}])


def put_later(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Have what is large of these moved into the store of objects, after the commit; nothing where there is none."""
    objects = connection.get_execution_options().get(OBJECTS)
    if objects is not None:
        large = [row["digest"] for row in rows if row["size"] >= max(objects.least, 1)]
        _note(connection, PUT, large)


def _leave(connection: Connection, digests: Sequence[str]) -> None:
    """Note that the objects in which these lie are to be deleted."""
    query = select(RawMail.place).where(RawMail.digest.in_(digests), RawMail.place.is_not(None))
    _note(connection, DELETE, list(connection.execute(query).scalars()))


def _note(connection: Connection, what: str, names: Sequence[str | None]) -> None:
    if names:
        now = datetime.now(UTC)
        rows = [{"name": name, "what": what, "since": now} for name in names]
        connection.execute(insert_new(connection, RawTask), rows)


def _objects(connection: Connection, place: str) -> Objects:
    objects: Objects | None = connection.get_execution_options().get(OBJECTS)
    if objects is None:
        raise ConfigError(LOST.format(place))
    return objects


@dataclass(frozen=True, slots=True)
class Worked:
    """What was done."""

    deleted: int = 0
    put: int = 0

    def __add__(self, other: Self) -> Worked:
        return Worked(self.deleted + other.deleted, self.put + other.put)


def work(store: Store) -> Worked:
    """Delete what is to be deleted, put what is to be put, until nothing of it is left; how many objects of each.

    Several daemons may do so at once. Raises TemporaryFailure: the next call goes on.
    """
    if store.objects is None:
        return Worked()
    done = Worked()
    while True:
        digests = _tasks(store, PUT, PUT_AT_ONCE)
        put = sum(move_out(store, store.objects, digest) for digest in digests)
        _done(store, digests)
        names = _tasks(store, DELETE, DELETED_AT_ONCE)
        store.objects.delete(names)
        _done(store, names)
        done += Worked(len(names), put)
        if not digests and not names:
            return done


def move_out(store: Store, objects: Objects, digest: str) -> bool:
    """Move the bytes of a mail out of the database; False where they are not there (any more), or are to stay."""
    with store.read() as connection:
        content = connection.execute(select(RawMail.content).where(RawMail.digest == digest)).scalar_one_or_none()
    if not content or len(content) < objects.least:
        return False
    name = name_for(content)
    objects.put_all({name: content})
    here = (RawMail.digest == digest, RawMail.content == content)  # not what has been erased or blackened meanwhile
    with store.write() as connection:
        moved = connection.execute(update(RawMail).where(*here).values(content=None, place=name)).rowcount
        if not moved:
            _note(connection, DELETE, [name])
    return bool(moved)


def move_in(store: Store, objects: Objects, digest: str) -> bool:
    """Move the bytes of a mail into the database; False where they lie there. Raises TemporaryFailure, Unreadable."""
    with store.read() as connection:
        place = connection.execute(select(RawMail.place).where(RawMail.digest == digest)).scalar_one_or_none()
    if place is None:
        return False
    content = objects.get(place)
    with store.write() as connection:
        there = (RawMail.digest == digest, RawMail.place == place)
        moved = connection.execute(update(RawMail).where(*there).values(content=content, place=None)).rowcount
        if moved:
            _note(connection, DELETE, [place])
    return bool(moved)


def placed(rows: Sequence[dict[str, Any]], here: Objects | None, there: Objects | None) -> list[dict[str, Any]]:
    """Whole rows of mails with their bytes moved: what lies `here` is fetched, what is large is put `there`, if there is such.

    Raises TemporaryFailure, and Unreadable where an object is gone or holds others.
    """
    lying = [row["place"] for row in rows if row["place"] is not None]
    if lying and here is None:
        raise ConfigError(LOST.format(lying[0]))
    found = here.get_all(lying) if here is not None else {}
    moved = []
    for row in rows:
        content = row["content"] if row["place"] is None else found[row["place"]]
        if isinstance(content, Exception):
            raise content
        moved.append({**row, "content": content, "place": None})
    if there is not None:
        large = {name_for(row["content"]): row for row in moved if len(row["content"]) >= max(there.least, 1)}
        there.put_all({name: row["content"] for name, row in large.items()})
        for name, row in large.items():
            row |= {"content": None, "place": name}
    return moved


def _tasks(store: Store, what: str, limit: int) -> list[str]:
    with store.read() as connection:
        query = select(RawTask.name).where(RawTask.what == what).order_by(RawTask.since).limit(limit)
        return list(connection.execute(query).scalars())


def _done(store: Store, names: Sequence[str]) -> None:
    if names:
        with store.write() as connection:
            connection.execute(delete(RawTask).where(RawTask.name.in_(names)))


@dataclass(frozen=True, slots=True)
class Lies:
    """How much lies where, and what is still to be done."""

    objects: int  # mails whose bytes lie in the store of objects
    octets: int  # of these
    to_delete: int
    to_put: int


def lies(connection: Connection) -> Lies:
    """How much lies in the store of objects, by what the rows say."""
    named = select(func.count(), func.coalesce(func.sum(RawMail.size), 0)).where(RawMail.place.is_not(None))
    count, octets = connection.execute(named).one()
    tasks = select(RawTask.what, func.count().label("many")).group_by(RawTask.what)
    waiting = {row.what: row.many for row in connection.execute(tasks)}
    return Lies(int(count), int(octets), waiting.get(DELETE, 0), waiting.get(PUT, 0))


def newest(connection: Connection) -> str | None:
    """The object of the mail that came last, of those that have one."""
    query = select(RawMail.place).join(InboundEmail, InboundEmail.digest == RawMail.digest)
    found = query.where(RawMail.place.is_not(None)).order_by(InboundEmail.id.desc()).limit(1)
    return connection.execute(found).scalar()


def named(connection: Connection, names: Sequence[str]) -> set[str]:
    """Those of these objects that a row names, or that are to be deleted anyhow."""
    found: set[str] = set()
    for start in range(0, len(names), NAMES_AT_ONCE):
        some = names[start : start + NAMES_AT_ONCE]
        found |= {
            str(place) for place in connection.execute(select(RawMail.place).where(RawMail.place.in_(some))).scalars()
        }
        found |= set(connection.execute(select(RawTask.name).where(RawTask.name.in_(some))).scalars())
    return found


def mails(
    connection: Connection, in_objects: bool, after: str, limit: int, least: int = 1
) -> list[tuple[str, str | None]]:
    """Digest and place of mails of at least so many octets whose bytes lie there, or in the database, by digest."""
    query = select(RawMail.digest, RawMail.place).where(RawMail.digest > after, RawMail.size >= least)
    there = RawMail.place.is_not(None) if in_objects else func.length(RawMail.content) > 0
    rows = connection.execute(query.where(there).order_by(RawMail.digest).limit(limit))
    return [(row.digest, row.place) for row in rows]


def refuse_if_out_of_reach(store: Store) -> None:
    """ConfigError where bytes lie in a store of objects and the configuration names none."""
    if store.objects is None:
        with store.read() as connection:
            place = connection.execute(select(RawMail.place).where(RawMail.place.is_not(None)).limit(1)).scalar()
        if place is not None:
            raise ConfigError(LOST.format(place))
