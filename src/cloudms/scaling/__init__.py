"""Groups that grow and shrink with their load: observe, decide, clamp, act, record.

What decides is pure: no clock, cloud or catalog (`base`, `policies`, `clamps`, `decide`), so that the controller, the
simulation and the tests run the same judgement.
"""
