"""One load run: the command, the generator process, raw samples, and the verdict on each operation."""
