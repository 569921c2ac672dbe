"""The parts of SQLAlchemy that are not documented: an upgrade that changes one fails here."""

import sqlalchemy as sa
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowhouse.entities.sqlalchemy_internals import (
    TableConstraint,
    copy_of,
    flush_events,
    general_type,
    heard_events,
    is_made_by_type,
    maker_of,
    own_init,
    prefixes_of,
    variants_of,
    without_schema,
)


class Marker(TableConstraint):
    """A constraint without SQL."""

    def copied(self) -> "Marker":
        """Return another one."""
        return Marker(name=self.name)


def test_variants_of_lists_what_with_variant_has_set() -> None:
    """By the dialect's name; a plain type has none."""
    kind = sa.String(5).with_variant(sa.CHAR(5), "postgresql")
    assert {name: type(variant) for name, variant in variants_of(kind).items()} == {"postgresql": sa.CHAR}
    assert not variants_of(sa.String())


def test_a_general_type_is_what_types_of_one_kind_share() -> None:
    """Whatever their length; a type that SQLAlchemy does not know is no text."""
    assert general_type(sa.VARCHAR(5)) is general_type(sa.Text()) is sa.String
    assert general_type(sa.types.NullType()) is sa.types.NullType


def test_a_copy_of_a_column_belongs_to_no_table() -> None:
    """It has the type and the name, and is changed without the column."""
    table = sa.Table("things", sa.MetaData(), sa.Column("size", sa.Integer(), nullable=False))
    copied = copy_of(table.c.size)
    copied.nullable = True
    assert (copied.name, type(copied.type)) == ("size", sa.Integer)
    assert getattr(copied, "table", None) is None
    assert not table.c.size.nullable


def test_a_table_constraint_is_copied_with_its_table() -> None:
    """The copy is a new object of the same class, in the copied table."""
    table = sa.Table("things", sa.MetaData(), sa.Column("id", sa.Integer(), primary_key=True), Marker(name="mark"))
    copied = [c for c in table.to_metadata(sa.MetaData()).constraints if isinstance(c, Marker)]
    assert [(marker.name, marker.table is table) for marker in copied] == [("mark", False)]


def test_without_schema_leaves_the_schema_of_one_table_out() -> None:
    """Other tables keep theirs, and so does an `sa.table` of that name; the given dialect is unchanged."""
    metadata = sa.MetaData()
    things, others = (
        sa.Table(name, metadata, sa.Column("id", sa.Integer()), schema="ops") for name in ("things", "others")
    )
    dialect: sa.Dialect = sa.make_url("postgresql://").get_dialect()()
    changed = without_schema(dialect, things)
    named = sa.table("things", sa.column("id"), schema="ops")
    assert "FROM things" in str(sa.select(things.c.id).compile(dialect=changed))
    assert "FROM ops.others" in str(sa.select(others.c.id).compile(dialect=changed))
    assert "FROM ops.things" in str(sa.select(named.c.id).compile(dialect=changed))
    assert "FROM ops.things" in str(sa.select(things.c.id).compile(dialect=dialect))


def test_a_check_knows_whether_a_type_made_it() -> None:
    """`_type_bound`."""
    kind = sa.Enum("a", "b", name="kind", native_enum=False, create_constraint=True)
    table = sa.Table("things", sa.MetaData(), sa.Column("kind", kind), sa.CheckConstraint("kind <> 'c'", name="own"))
    checks = [check for check in table.constraints if isinstance(check, sa.CheckConstraint)]
    assert {str(check.name): is_made_by_type(check) for check in checks} == {"kind": True, "own": False}


def test_events_that_have_a_listener_are_found() -> None:
    """`Mapper.dispatch`, `ClassManager.dispatch` and the `dispatch` of an attribute; SQLAlchemy's own do not count."""

    class Base(DeclarativeBase):
        pass

    class Thing(Base):
        __tablename__ = "things"

        id: Mapped[int] = mapped_column(primary_key=True)
        document: Mapped[dict[str, int]] = mapped_column(MutableDict.as_mutable(sa.JSON()))

    mapper = sa.inspect(Thing)
    mapper.class_manager.mapper.registry.configure()
    assert (list(flush_events(mapper)), list(heard_events(mapper))) == ([], [])
    sa.event.listen(Thing, "before_insert", lambda *_: None)
    sa.event.listen(Thing, "load", lambda *_: None)
    sa.event.listen(Thing.id, "set", lambda *_: None)
    assert (list(flush_events(mapper)), list(heard_events(mapper))) == (
        ["before_insert"],
        [("", "load"), ("id", "set")],
    )


def test_an_object_is_made_without_init_and_the_init_of_the_class_is_found() -> None:
    """`ClassManager.new_instance` and `ClassManager.original_init`."""

    class Base(DeclarativeBase):
        pass

    class Thing(Base):
        __tablename__ = "things"

        id: Mapped[int] = mapped_column(primary_key=True)

        def __init__(self) -> None:
            """Make a thing."""
            raise NotImplementedError

    assert own_init(sa.inspect(Thing)).__doc__ == "Make a thing."
    assert isinstance(maker_of(Thing)(), Thing)


def test_the_prefixes_of_a_table() -> None:
    """As the class states them."""
    table = sa.Table("t", sa.MetaData(), prefixes=["UNLOGGED"])
    assert prefixes_of(table) == ["UNLOGGED"]
    assert prefixes_of(sa.Table("u", sa.MetaData())) == []
