"""The clouds: one module or package each, all behind the contract of `base`."""
