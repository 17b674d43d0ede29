"""The catalog: one store of what a person owns, behind the contract of `base`."""
