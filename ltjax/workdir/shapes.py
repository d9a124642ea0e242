"""Shapes and types of what is kept, against those of what is wanted."""

import jax

from ltjax.mistake import Mistake


def refuse_difference(path, saved, like):
    """Raises `Mistake` where two trees have other names, shapes or types.

    Orbax casts to another type in silence, and does not say which shape is wrong.
    """
    saved, like = _leaves(saved), _leaves(like)
    for name in sorted(saved.keys() | like.keys()):
        found, wanted = (tree.get(name, "nothing") for tree in (saved, like))
        if found != wanted:
            raise Mistake(f"{path} holds {found} at {name!r}, not {wanted}")


def _leaves(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (
            f"{leaf.dtype}{list(leaf.shape)}"
        )
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
