"""SQLite's write-ahead log shrinks again after a long reader made it grow."""

from pathlib import Path

from rowhouse.core.settings import Settings
from rowhouse.db.engine import TRANSACTION_KIND, create_engine

MAX_WAL_BYTES = 4 * 1024 * 1024


def test_the_log_shrinks_when_the_reader_has_gone(tmp_path: Path) -> None:
    """It grows as long as somebody reads an older state, far over its bound; one of the next writes cuts it."""
    path = tmp_path / "rows.db"
    log = path.with_name("rows.db-wal")
    engine = create_engine(Settings(database_url=f"sqlite:///{path}"))

    def write(count: int) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO rows SELECT randomblob(1000000) FROM generated LIMIT ?", (count,))

    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE rows (data BLOB)")
        connection.exec_driver_sql(
            "CREATE VIEW generated AS "
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) SELECT i FROM n"
        )
    write(1)
    with engine.connect().execution_options(**{TRANSACTION_KIND: "read"}) as reader:
        reader.exec_driver_sql("SELECT count(*) FROM rows").all()
        for _ in range(8):
            write(5)
        assert log.stat().st_size > 3 * MAX_WAL_BYTES
    for _ in range(3):
        write(1)
    assert log.stat().st_size <= MAX_WAL_BYTES
    engine.dispose()
    assert not log.exists(), "the last connection has written it back"
