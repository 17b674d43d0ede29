"""What every list takes: the clouds that are meant, and whether they are asked."""

from __future__ import annotations

from typing import Annotated

from cloudms.verb import Doc, Names

Cached = Annotated[bool, Doc("show what the catalog knows, with its age")]
Refresh = Annotated[bool, Doc("ask the clouds, whatever 'refresh' is set to")]
CloudName = Annotated[str | None, Doc("only this cloud, or these: a,b"), Names("cloud")]
