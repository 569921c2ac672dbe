"""Operations of migrations that Alembic lacks, how autogenerate finds them, and the order in which they run."""
