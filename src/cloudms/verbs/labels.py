"""The options of every verb that chooses by labels or changes them."""

from __future__ import annotations

from typing import Annotated

from cloudms.verb import Doc, Short

Labels = Annotated[dict[str, str] | None, Doc("only what has this label"), Short("l")]
PutLabels = Annotated[dict[str, str] | None, Doc("label to put on it"), Short("l")]
SetLabels = Annotated[dict[str, str] | None, Doc("label to set, key=value")]
RemoveLabels = Annotated[list[str] | None, Doc("key of a label to remove")]
