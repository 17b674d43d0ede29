"""A cloud whose SDK does not exist."""

import no_such_sdk


class DustCloud(no_such_sdk.Cloud):
    """Never made."""
