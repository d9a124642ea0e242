"""Makes the posterior that is shipped in `examples/` from a run of the digits.

    python -m ltjax.main --config configs/digits_lt.py
    python examples/make_posterior.py runs/digits_lt-seed0 examples

Of a posterior of 4 MB it makes one below 1 MB, in the same form: the deviations become
the `--rank` directions in which the weights vary most; the variance in the others goes
to the diagonal, so that of each weight stays. Then the mean is rounded to
`--mean-bits` significant bits, and the rest to `--bits`. What that did is written
beside it, before and after: a posterior of 14 directions has become one of fewer.
"""

import argparse
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ltjax.classifier import linear
from ltjax.mistake import Mistake
from ltjax.posterior import archive, swag, trees
from ltjax.posterior import members as extractors
from ltjax.runtime.command import exit_code
from ltjax.stages import keys as streams
from ltjax.stages import trained
from ltjax.stages.loading import load
from ltjax.workdir.files import write_json

_DRAWS = 40


def shrunk(state, rank):
    """A `swag.State` with `rank` deviations and the variances of `state`, float64.

    The rows of D are turned by the left singular vectors, the largest first, which
    leaves D D^T as it is, and cut.
    """
    flat = jax.vmap(lambda tree: ravel_pytree(tree)[0])(state.deviations)
    flat = np.asarray(flat, np.float64)
    count = int(state.count)
    stored = min(count, len(flat))
    if not 2 <= rank < stored:
        raise Mistake(f"--rank is {rank}; it must be in 2..{stored - 1}")
    turn = np.linalg.svd(flat, full_matrices=False)[0].T
    turned = turn @ flat / np.sqrt(stored - 1)  # its D D^T is the covariance
    kept, dropped = turned[:rank], turned[rank:]
    scatter, back = ravel_pytree(state.scatter)
    scatter = np.asarray(scatter, np.float64) + count * (dropped**2).sum(0)
    kept = kept * np.sqrt(min(count, rank) - 1)
    return state.replace(
        scatter=jax.tree.map(np.asarray, back(jnp.float32(scatter))),
        deviations=jax.tree.map(np.asarray, jax.vmap(back)(jnp.float32(kept))),
    )


def rounded(tree, bits):
    """Every number to so many significant bits: the zeros after them take no room."""

    def leaf(x):
        fraction, exponent = np.frexp(np.asarray(x, np.float64))
        return np.ldexp(np.round(fraction * 2.0**bits), exponent - bits).astype("f4")

    return jax.tree.map(leaf, tree)


def make_look(run, train, test):
    """Builds `look(state, members, stats=None) -> logits` of test images, per member.

    Without statistics they are those of the training images.
    """
    sizes = run.config.posterior.batch_size, run.config.posterior.chunk
    draw = extractors.features_of(extractors.whole(swag.sample))
    parts = draw, run.net, run.prepare, *sizes
    refresh = jax.jit(extractors.make_refresh(*parts))
    features = jax.jit(extractors.make_features(*parts))

    def look(state, members, stats=None):
        stats = refresh(state, members, train) if stats is None else stats
        z = features(state, members, stats, test)
        return linear.logits(state.mean["head"], z)

    return look


def make(source, place, rank, mean_bits, bits):
    """Writes the posterior and what is known of it to the folder `place`."""
    run = trained.read(source)
    data = load(run.config.data)
    # As the run takes its statistics: of images augmented as in training.
    seen = run.config.augment.make()["full"](
        streams.keys(run.config.seed).statistics, data.train.image
    )
    look = make_look(run, seen, data.test.image)
    stats = extractors.first(run.batch_stats)
    small = shrunk(run.weights, rank)
    small = small.replace(
        mean=rounded(small.mean, mean_bits),
        scatter=rounded(small.scatter, bits),
        deviations=rounded(small.deviations, bits),
    )
    path = place / "digits_posterior.npz"
    archive.save(
        path, small, jax.tree.map(lambda leaf: leaf[0], rounded(stats, mean_bits))
    )
    small, rounded_stats = archive.load(path)

    rounded_stats = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], rounded_stats)
    point = extractors.make(jax.random.key(1), 0, 1.0)
    draws = extractors.Members(
        jax.random.split(jax.random.key(0), _DRAWS), jnp.ones(_DRAWS)
    )
    label, states = data.test.label, (run.weights, small)
    both = zip(states, (stats, rounded_stats))
    before, after = (look(state, trees.clone(point), own)[0] for state, own in both)
    of_draws = [look(state, trees.clone(draws)) for state in states]

    def accuracies(found):
        hits = [np.asarray(logits.argmax(-1) == label) for logits in found]
        return [round(100 * float(hit.mean()), 2) for hit in hits]

    def spreads(found):
        return [round(float(logits.std(0).mean()), 3) for logits in found]

    of_mean = [before, after]
    ranks = [len(jax.tree.leaves(of.deviations)[0]) for of in states]
    told = {
        "config": run.config.name,
        "bytes": path.stat().st_size,
        "rank": ranks,
        "bits": {"mean": mean_bits, "others": bits},
        "largest_change_of_a_logit": float(jnp.abs(after - before).max()),
        "accuracy_of_the_mean": accuracies(of_mean),
        "draws": _DRAWS,
        "accuracy_of_draws": accuracies(of_draws),
        "deviation_of_a_logit_over_draws": spreads(of_draws),
    }
    write_json(place / "digits_posterior.json", told)
    return told


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", type=Path, help="folder of a finished run of the digits")
    parser.add_argument("place", type=Path, help="folder to write to")
    parser.add_argument("--rank", type=int, default=6, help="deviations to keep")
    parser.add_argument("--mean-bits", type=int, default=12, help="of the mean")
    parser.add_argument("--bits", type=int, default=4, help="of all else")
    args = parser.parse_args()

    def work():
        told = make(args.run, args.place, args.rank, args.mean_bits, args.bits)
        print(json.dumps(told, indent=1))

    sys.exit(exit_code(work, "make_posterior"))


if __name__ == "__main__":
    main()
