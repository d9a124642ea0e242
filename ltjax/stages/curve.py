"""How a backbone does on held-out images after each epoch of its training."""

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.classifier import heads
from ltjax.data import longtail
from ltjax.evaluation import scores
from ltjax.posterior import members as extractors
from ltjax.posterior import point
from ltjax.runtime import devices
from ltjax.stages import system as systems
from ltjax.stages.loader import unlabelled


def of(system, loader):
    """Builds `told(state)`, what an epoch's event says of images held out of training.

    {"held_out": {"acc": percent by group, "nll"}} of the classifier that is trained
    with the backbone, under the running statistics of batch norm; nothing where no
    images are. Nothing is chosen by it, and training goes on as if nobody had looked.
    """
    if loader.validation is None:
        return lambda state: {}
    draw = extractors.features_of(extractors.whole(point.sample))
    passes = loader.passes(systems.extractor(system, draw), whole=False)
    images, labels = unlabelled(loader.validation), loader.validation["label"]
    if isinstance(images["image"], jax.Array):
        images = devices.whole(images)
    groups = longtail.groups(loader.index.counts)
    member = extractors.make(jax.random.key(0), 0, 1.0)
    net = systems.network(system, system.fixed)

    def told(state):
        stats = state.batch_stats.get("features", {})
        stats = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], stats)
        who = devices.whole(point.init(state.params)), member, stats
        parts = [np.asarray(part) for part in passes.features(*who, images)]
        head = heads.none(devices.local(net.head.linear(state.params["head"])))
        log_probs = heads.one_pass(head.logits, head.params)
        features = jnp.asarray(np.concatenate(parts, 1))
        found = scores.briefly(log_probs, features, np.asarray(labels), groups)
        return {"held_out": {"acc": found["acc"], "nll": found["nll"]}}

    return told
