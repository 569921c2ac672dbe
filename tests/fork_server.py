"""The process from which servers and migrators are forked.

It has imported what they need: an import takes seconds, a fork does not.
"""

import multiprocessing

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["tests.concurrency.process", "tests.migrations.migrator", "app.main"])
