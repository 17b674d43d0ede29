"""The test client of the framework, which asks for the next httpx in vain where that is not installed."""

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="Using `httpx` with")
    from starlette.testclient import TestClient

__all__ = ["TestClient"]
