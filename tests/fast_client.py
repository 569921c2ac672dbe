"""The quick client of `rowhouse.testing`. Its event loop is traced only for tests that coverage follows."""

from rowhouse.testing import client
from tests.coverage_control import follow_the_test


class QuickClient(client.QuickClient):
    """Follows the running test in the application's thread."""

    def before_request(self) -> None:
        """Measure the application as the test asks for."""
        follow_the_test()
