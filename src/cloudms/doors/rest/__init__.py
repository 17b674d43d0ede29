"""The REST door: every verb as a route, derived from its signature like every other door.

`service` binds and runs; `app` puts the parts together; `gate` lets in; `routes` finds the verb, `asking` reads what
was asked and `answer` writes what comes of it; `work` carries out changes and `events` tells how far they are;
`openapi` describes all of it. Only `cms serve` imports this package.
"""
