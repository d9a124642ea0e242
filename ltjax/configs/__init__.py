"""The configs that come with ltjax; `--config digits_lt` finds one by its name.

What a file assigns to `config` is run by `--config FILE`, what it assigns to another
name by `--config FILE:NAME`.
"""
