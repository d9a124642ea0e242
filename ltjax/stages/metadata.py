"""What is known beside images, on its way to a network: left out, mixed, refused."""

import jax

from ltjax.config.kind import told
from ltjax.data.augment import masking as masks
from ltjax.mistake import Mistake

META = "meta"  # the column of a batch


def masking(config, net, task):
    """The `masking.Masking` of a run; None where its network takes no metadata.

    Nor is there any where a user's own network takes an array that nobody has asked
    for by `data.meta`: what is done to that is its own business.
    """
    asked = config.data.meta or told(config.model, META)
    return config.augment.masking(task) if asked and META in net.takes else None


def in_training(how, key, step, batch):
    """A batch of stage one with metadata left out, and mixed by its "lam".

    `how` is a `masking.Masking`, or None.
    """
    batch = dict(batch)
    lam = batch.pop("lam", None)
    if how is not None:
        if lam is not None and how.mixes:
            batch[META] = masks.mixed(batch[META], lam)
        batch[META] = masks.some(_key(key), batch[META], how.share(step))
    return batch


def in_view(how, key, batch):
    """A batch of stage two, of which some metadata are left out."""
    if how is None:
        return batch
    return {**batch, META: masks.some(_key(key), batch[META], how.views)}


def without(batch):
    """A batch of which nothing is known beside the images."""
    return {**batch, META: 0 * batch[META]}


def check_fits(model, net, data):
    """Refuses images of another size than a model's, and metadata of another."""
    side, shape = told(model, "only"), data.train.image.shape[1:3]
    if side is not None and shape != (side, side):
        raise Mistake(
            f"model.image is {side}, and images are {shape[0]} x {shape[1]} pixels; "
            "give that size, or bring images to it: --data.size"
        )
    pieces, known = told(model, META), data.train.meta
    if META not in net.takes or not pieces or known is None:
        return
    if sum(pieces) != known.shape[1]:
        raise Mistake(
            f"model.meta is {pieces}, of {sum(pieces)} numbers, and {data.name} has "
            f"{known.shape[1]} of each image"
        )


def _key(key):
    # 1 is within the views, 2 mixes.
    return jax.random.fold_in(jax.random.clone(key), 3)
