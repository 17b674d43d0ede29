"""`cms image label`: labels of the images in this machine's store."""

from __future__ import annotations

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine import Plan, Work, action
from cloudms.engine.labels import changed, changes, pick
from cloudms.engine.refresh import event
from cloudms.model import Noun, Step
from cloudms.verb import LOCAL, verb
from cloudms.verbs.image.look import ImageNames, in_store, noun_of
from cloudms.verbs.labels import Labels, RemoveLabels, SetLabels


@verb(
    "image",
    "label",
    changes=True,
    doors=LOCAL,
    columns=("name", "labels"),
    example="cms image label micro --set use=test",
)
def label_(
    ctx: Context,
    names: ImageNames = [],  # noqa: B006 (never changed)
    *,
    set: SetLabels = None,  # noqa: A002 (the option's name)
    remove: RemoveLabels = None,
    label: Labels = None,
) -> Plan:
    """Set and remove labels of images in this machine's store; they stay when an image is built or fetched again."""
    from cloudms.images import store

    params = changes(set, remove)
    found = pick("image", names, label, lambda name: noun_of(store.get(name)), lambda: in_store(ctx))
    steps = tuple(Step(action="image.label", cloud="", target=image.name, params=params) for image in found)
    return Plan(verb="image label", summary=f"label {naming.compress(i.name for i in found)}", steps=steps)


@action("image.label")
def _label(work: Work) -> Noun:
    from cloudms.images.store import ImageStore

    images = ImageStore(clock=work.ctx.clock)
    image = noun_of(images.label(work.step.target, lambda labels: changed(labels, work.step.params)))
    work.ctx.catalog.put("event", {}, events=[event(work.ctx, "image.label", image, "labelled", work.operation)])
    return image
