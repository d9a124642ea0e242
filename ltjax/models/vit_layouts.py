"""Files of vision transformers under other names than timm's, brought to these.

DINO, DeiT and DeiT-III have timm's names; DINOv2 calls registers otherwise, CLIP of
OpenAI (and open_clip) and the models of Hugging Face have names of their own. What is
no part of the features is left aside: poolers, projections, mask tokens, texts.
"""

import re

import numpy as np

# What names become, one after the other.
_RENAMED = [
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^(vit|dinov2|dinov2_with_registers)\.", ""),
        (r"^classifier\.", "head."),
        (r"^(blocks\.\d+)\.gamma_(\d)$", r"\1.ls\2.gamma"),  # DeiT-III's authors
        # Hugging Face's ViT and DINOv2.
        (r"^embeddings\.(cls_token|mask_token)$", r"\1"),
        (r"^(embeddings\.)?register_tokens$", "reg_token"),
        (r"^embeddings\.position_embeddings$", "pos_embed"),
        (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
        (r"^encoder\.layer\.(\d+)\.", r"blocks.\1."),
        (r"^(blocks\.\d+)\.attention\.attention\.(q|k|v)[a-z]+\.", r"\1.attn.\2."),
        (r"^(blocks\.\d+)\.attention\.output\.dense\.", r"\1.attn.proj."),
        (r"^(blocks\.\d+)\.intermediate\.dense\.", r"\1.mlp.fc1."),
        (r"^(blocks\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
        (r"^(blocks\.\d+)\.layernorm_before\.", r"\1.norm1."),
        (r"^(blocks\.\d+)\.layernorm_after\.", r"\1.norm2."),
        (r"^(blocks\.\d+)\.layer_scale(\d)\.lambda1$", r"\1.ls\2.gamma"),
        (r"^layernorm\.", "norm."),
        # Hugging Face's CLIP.
        (r"^vision_model\.embeddings\.class_embedding$", "cls_token"),
        (r"^vision_model\.embeddings\.position_embedding\.weight$", "pos_embed"),
        (r"^vision_model\.embeddings\.patch_embedding\.", "patch_embed.proj."),
        (r"^vision_model\.pre_layrnorm\.", "norm_pre."),
        (r"^vision_model\.post_layernorm\.", "norm."),
        (r"^vision_model\.encoder\.layers\.(\d+)\.", r"blocks.\1."),
        (r"^(blocks\.\d+)\.self_attn\.(q|k|v)_proj\.", r"\1.attn.\2."),
        (r"^(blocks\.\d+)\.self_attn\.out_proj\.", r"\1.attn.proj."),
        (r"^(blocks\.\d+)\.layer_norm(\d)\.", r"\1.norm\2."),
        # OpenAI's.
        (r"^visual\.class_embedding$", "cls_token"),
        (r"^visual\.positional_embedding$", "pos_embed"),
        (r"^visual\.conv1\.", "patch_embed.proj."),
        (r"^visual\.ln_pre\.", "norm_pre."),
        (r"^visual\.ln_post\.", "norm."),
        (r"^visual\.transformer\.resblocks\.(\d+)\.", r"blocks.\1."),
        (r"^(blocks\.\d+)\.attn\.in_proj_", r"\1.attn.qkv."),
        (r"^(blocks\.\d+)\.attn\.out_proj\.", r"\1.attn.proj."),
        (r"^(blocks\.\d+)\.ln_(\d)\.", r"\1.norm\2."),
        (r"^(blocks\.\d+)\.mlp\.c_fc\.", r"\1.mlp.fc1."),
        (r"^(blocks\.\d+)\.mlp\.c_proj\.", r"\1.mlp.fc2."),
    )
]
# What is no part of the features, under any of these names.
_ASIDE = re.compile(
    r"^(mask_token$|pooler\.|visual_projection\.|visual\.proj$|text_model\.|"
    r"text_projection|transformer\.|token_embedding\.|positional_embedding$|"
    r"ln_final\.|logit_scale$|logit_bias$|input_resolution$|context_length$|"
    r"vocab_size$)|\.position_ids$"
)


def usual(tensors):
    """The tensors {name: array} under timm's names, and in its shapes."""
    found = {_renamed(name): array for name, array in tensors.items()}
    found = {name: array for name, array in found.items() if not _ASIDE.search(name)}
    for name, rank in (("cls_token", 3), ("pos_embed", 3)):
        array = found.get(name)
        if array is not None and array.ndim in (1, 2):
            # Without the axis of the batch, and one of a single token.
            found[name] = array.reshape((1,) * (rank - array.ndim) + array.shape)
    return _joined(found)


def _renamed(name):
    for pattern, other in _RENAMED:
        name = pattern.sub(other, name)
    return name


def _joined(tensors):
    """With queries, keys and values in one tensor, in this order."""
    found = dict(tensors)
    for name in tensors:
        if not name.endswith((".attn.q.weight", ".attn.q.bias")):
            continue
        place, _, leaf = name.rpartition(".q.")
        names = [f"{place}.{part}.{leaf}" for part in "qkv"]
        parts = [tensors.get(each) for each in names]
        if all(part is not None and part.shape == parts[0].shape for part in parts):
            found[f"{place}.qkv.{leaf}"] = np.concatenate(parts)
            for each in names:
                del found[each]
    return found
