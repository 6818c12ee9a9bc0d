"""The API and two organizations, as the tests beside the code have them."""

from tests.functions.conftest import api, now, settings, signed_in
from tests.shared_code.database.conftest import ours, single, theirs

__all__ = ["api", "now", "ours", "settings", "signed_in", "single", "theirs"]
