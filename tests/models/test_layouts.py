"""Files under the names of other releases than timm's: the same network of each."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.config import AdaptFormer, Lora, Vit
from ltjax.mistake import Mistake
from ltjax.models import layouts, pretrained, weights

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
SMALL = {"dim": 64, "depth": 2, "heads": 1, "patch": 4, "image": 16}
PLAIN, PRE = Vit(**SMALL), Vit(**SMALL, pre_norm=True)
SCALED = Vit(**SMALL, layer_scale=True)
REGISTERS = Vit(**SMALL, layer_scale=True, registers=3)


def variables_of(model):
    body = model.body()
    image = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    shapes = jax.eval_shape(body.init, jax.random.key(0), image)
    like = {kind: {"features": tree} for kind, tree in shapes.items()}
    return jax.tree.map(
        lambda leaf: RNG.normal(size=leaf.shape).astype(np.float32), like
    )


def cut(tensors, names):
    """Queries, keys and values apart, under `names` with {} for the leaf."""
    found = {}
    for name, array in tensors.items():
        match = re.match(r"blocks\.(\d+)\.attn\.qkv\.(\w+)", name)
        if not match:
            found[name] = array
            continue
        block, leaf = match.groups()
        for part, each in zip(names, np.split(array, 3)):
            found[f"{part.format(block)}.{leaf}"] = each
    return found


def called(tensors, names):
    found = {}
    for name, array in tensors.items():
        for old, new in names:
            name = re.sub(f"^{old}", new, name)
        found[name] = array
    return found


def of_transformers(tensors, others, prefix=""):
    """As Hugging Face's ViT and DINOv2 have them."""
    attention = "encoder.layer.{}.attention.attention."
    apart = cut(tensors, [attention + part for part in ("query", "key", "value")])
    names = (
        ("(cls_token|mask_token)", r"embeddings.\1"),
        ("reg_token", "embeddings.register_tokens"),
        ("pos_embed", "embeddings.position_embeddings"),
        (r"patch_embed\.proj", "embeddings.patch_embeddings.projection"),
        ("norm", "layernorm"),
        *others,
        (r"blocks\.(\d+)\.attn\.proj", r"encoder.layer.\1.attention.output.dense"),
        (r"blocks\.(\d+)", r"encoder.layer.\1"),
    )
    named = called(apart, names)
    return {prefix + name: array for name, array in named.items()}


def hf_vit(tensors, prefix=""):
    others = (
        (r"blocks\.(\d+)\.norm1", r"encoder.layer.\1.layernorm_before"),
        (r"blocks\.(\d+)\.norm2", r"encoder.layer.\1.layernorm_after"),
        (r"blocks\.(\d+)\.mlp\.fc1", r"encoder.layer.\1.intermediate.dense"),
        (r"blocks\.(\d+)\.mlp\.fc2", r"encoder.layer.\1.output.dense"),
    )
    more = {"pooler.dense.weight": np.ones((64, 64)), "pooler.dense.bias": np.ones(64)}
    return of_transformers(tensors, others, prefix) | more


def hf_classifier(tensors):
    found = hf_vit(tensors, "vit.")
    head = {"classifier.weight": np.ones((5, 64)), "classifier.bias": np.ones(5)}
    return {n: a for n, a in found.items() if "pooler" not in n} | head


def hf_dinov2(tensors):
    others = ((r"blocks\.(\d+)\.ls(\d)\.gamma", r"blocks.\1.layer_scale\2.lambda1"),)
    return of_transformers({**tensors, "mask_token": np.ones((1, 64))}, others)


def dinov2(tensors):
    found = called(tensors, [("reg_token", "register_tokens")])
    return {**found, "mask_token": np.ones((1, 64))}


def flat(tensors):
    own = {name: tensors[name] for name in ("cls_token", "pos_embed")}
    return {**tensors, **{n: a.reshape(-1, 64) for n, a in own.items()}} | {
        "cls_token": tensors["cls_token"].reshape(64)
    }


def hf_clip(tensors):
    attention = "vision_model.encoder.layers.{}.self_attn.{}_proj"
    apart = cut(flat(tensors), [attention.replace("{}_", f"{p}_") for p in "qkv"])
    at = "vision_model.embeddings."
    names = (
        ("cls_token", at + "class_embedding"),
        ("pos_embed", at + "position_embedding.weight"),
        (r"patch_embed\.proj", at + "patch_embedding"),
        ("norm_pre", "vision_model.pre_layrnorm"),
        (r"norm\.", "vision_model.post_layernorm."),
        (r"blocks\.(\d+)\.attn\.proj", r"blocks.\1.self_attn.out_proj"),
        (r"blocks\.(\d+)\.norm", r"blocks.\1.layer_norm"),
        (r"blocks\.(\d+)", r"vision_model.encoder.layers.\1"),
    )
    more = {
        "vision_model.embeddings.position_ids": np.arange(17)[None],
        "visual_projection.weight": np.ones((8, 64)),
        "text_projection.weight": np.ones((8, 64)),
        "text_model.final_layer_norm.bias": np.ones(8),
        "logit_scale": np.ones(()),
    }
    return called(apart, names) | more


def openai_clip(tensors):
    names = (
        ("cls_token", "visual.class_embedding"),
        ("pos_embed", "visual.positional_embedding"),
        (r"patch_embed\.proj", "visual.conv1"),
        ("norm_pre", "visual.ln_pre"),
        (r"norm\.", "visual.ln_post."),
        (r"blocks\.(\d+)\.attn\.qkv\.", r"blocks.\1.attn.in_proj_"),
        (r"blocks\.(\d+)\.attn\.proj", r"blocks.\1.attn.out_proj"),
        (r"blocks\.(\d+)\.norm", r"blocks.\1.ln_"),
        (r"blocks\.(\d+)\.mlp\.fc1", r"blocks.\1.mlp.c_fc"),
        (r"blocks\.(\d+)\.mlp\.fc2", r"blocks.\1.mlp.c_proj"),
        (r"blocks\.(\d+)", r"visual.transformer.resblocks.\1"),
    )
    more = {
        "visual.proj": np.ones((64, 8)),
        "positional_embedding": np.ones((7, 8)),
        "text_projection": np.ones((8, 8)),
        "token_embedding.weight": np.ones((9, 8)),
        "transformer.resblocks.0.ln_1.bias": np.ones(8),
        "ln_final.bias": np.ones(8),
        "logit_scale": np.ones(()),
    }
    return called(flat(tensors), names) | more


def same(tensors):
    return tensors


def with_head(tensors):
    return {**tensors, "head.weight": np.ones((3, 64)), "head.bias": np.ones(3)}


CASES = {
    "a ViT of timm": (PLAIN, with_head, layouts.HALF),
    "a DINO": (PLAIN, same, layouts.IMAGENET),
    "a DINOv2": (SCALED, dinov2, layouts.IMAGENET),
    "a DINOv2 of timm or a DeiT-III": (SCALED, same, layouts.IMAGENET),
    "a DINOv2 with registers": (REGISTERS, dinov2, layouts.IMAGENET),
    "a DINOv2 of Hugging Face": (REGISTERS, hf_dinov2, layouts.IMAGENET),
    "a ViT of Hugging Face": (PLAIN, hf_vit, layouts.HALF),
    "its classifier": (PLAIN, hf_classifier, layouts.HALF),
    "a CLIP of timm": (PRE, with_head, layouts.CLIP),
    "a CLIP of Hugging Face": (PRE, hf_clip, layouts.CLIP),
    "a CLIP of OpenAI or open_clip": (PRE, openai_clip, layouts.CLIP),
}


@pytest.mark.parametrize("title", CASES)
def test_each_layout_is_known_and_read(title, tmp_path):
    model, names, moments = CASES[title]
    wanted = variables_of(model)
    usual = weights.to_tensors(wanted)
    tensors = names(usual)
    assert (set(tensors) == set(usual)) == (names is same)
    weights.write(tmp_path / "a.npz", tensors)
    found = pretrained.read(tmp_path / "a.npz", model.body(), side=16)
    known = title if title != "its classifier" else "a ViT of Hugging Face"
    assert layouts.of(tensors).title == known
    assert found.moments is moments
    for kind, tree in wanted.items():
        got = found.features[kind]
        assert jax.tree.structure(got) == jax.tree.structure(tree["features"])
        jax.tree.map(np.testing.assert_array_equal, got, tree["features"])


@pytest.mark.parametrize("title", CASES)
def test_what_would_fit_is_told(title, tmp_path):
    model, names, _ = CASES[title]
    weights.write(tmp_path / "a.npz", names(weights.to_tensors(variables_of(model))))
    wanted = "vit --model.dim 64 --model.depth 2 --model.heads 1 --model.patch 4"
    wanted += " --model.image 16"
    wanted += f" --model.registers {model.registers}" * bool(model.registers)
    wanted += " --model.layer-scale True" * model.layer_scale
    wanted += " --model.pre-norm True" * model.pre_norm
    other = Vit(**SMALL | {"depth": 3}).body()
    with pytest.raises(Mistake) as caught:
        pretrained.read(tmp_path / "a.npz", other, side=16)
    assert str(caught.value).endswith(f"which fits --model {wanted}")


@pytest.mark.parametrize(
    ("has", "wanted", "words"),
    [
        (SCALED, REGISTERS, "has no tensor 'reg_token', which the model needs"),
        (PLAIN, SCALED, "has no tensor 'blocks.0.ls1.gamma' nor 3 others"),
        (REGISTERS, SCALED, "has a tensor 'reg_token' that the model has not"),
        (
            Vit(**SMALL | {"image": 24}),
            PLAIN,
            "'pos_embed' has shape [1, 37, 64], wanted [1, 17, 64]; it holds a DINO, "
            "which fits --model vit --model.dim 64 --model.depth 2 --model.heads 1 "
            "--model.patch 4 --model.image 24",
        ),
    ],
)
def test_what_does_not_fit_is_refused(has, wanted, words):
    like = variables_of(wanted)
    with pytest.raises(Mistake) as caught:
        weights.to_variables(weights.to_tensors(variables_of(has)), like, "a.npz")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [Lora(rank=2), AdaptFormer(width=3, blocks=1)])
def test_adapters_begin_as_the_file_has_it(kind, tmp_path):
    usual = variables_of(PLAIN)
    weights.write(tmp_path / "a.npz", weights.to_tensors(usual))
    body = Vit(**SMALL, adapters=kind).body()
    words = ("adapter", "head")
    known = pretrained.read(tmp_path / "a.npz", body, words, side=16)
    assert known.first == 1 + 2 - (kind.blocks or 2)
    x = RNG.normal(size=(2, 16, 16, 3)).astype(np.float32)
    inputs = known.trunk(known.below, x)
    upper = body.copy(first=known.first)
    new = upper.init(jax.random.key(0), inputs)
    begun = pretrained.begin({"params": {"features": new["params"]}}, known)
    params = begun["params"]["features"]
    got = upper.apply({"params": params}, inputs)
    wanted = PLAIN.body().apply({"params": usual["params"]["features"]}, x)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    # What they add, in the arithmetic of their papers.
    moved = jax.tree.map(lambda leaf: leaf + 0.1, params)
    block = moved["blocks_1"]
    seen = RNG.normal(size=(2, 5, 64)).astype(np.float32)
    if isinstance(kind, Lora):
        beside = block["attn"]["adapter"]
        added = 8.0 / 2 * (seen @ beside["down"]) @ beside["up"]
        module = kind.make()[0](192)
    else:
        beside = block["adapter"]
        down, up = beside["down"], beside["up"]
        down, up = (jax.tree.map(np.asarray, leaf) for leaf in (down, up))
        inside = np.maximum(seen @ down["kernel"] + down["bias"], 0)
        added = 0.1 * (inside @ up["kernel"] + up["bias"])
        module = kind.make()[1]()
    np.testing.assert_allclose(
        module.apply({"params": beside}, seen), added, rtol=1e-4, atol=1e-4
    )
