"""What was tried computes what is computed."""

import jax
import numpy as np
import pytest
from bench import command, trials

from ltjax.models import batch_norm, gradient

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "convolve", [trials.channels_first, trials.pairs_of_pixels, trials.space_to_depth]
)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [(3, 16), (16, 16), (16, 32)])
def test_other_convolutions_are_the_same(convolve, stride, channels):
    x = RNG.normal(size=(2, 8, 6, channels[0])).astype(np.float32)
    kernel = RNG.normal(size=(3, 3, *channels)).astype(np.float32)
    expected = gradient.plain(x, kernel, stride)
    got = convolve(x, kernel, stride)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_moments_in_two_passes_are_the_same():
    x = RNG.normal(size=(8, 5, 4, 3)).astype(np.float32)
    pairs = zip(trials.two_passes(x), batch_norm.moments(x))
    for theirs, ours in pairs:
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6)


def test_a_trial_changes_its_programs_only(monkeypatch, tmp_path):
    seen = []

    def network(trial):
        seen.append(batch_norm.moments is trials.two_passes)
        return made(trial)

    made = trials._network
    monkeypatch.setattr(trials, "_network", network)
    monkeypatch.setattr(trials, "STEPS", 1)
    monkeypatch.setattr(trials.shared, "BATCH", 8)
    monkeypatch.setattr(trials, "IMAGES", 8)
    # Small enough for a test; what is patched is the same.
    small = trials.config.CifarResNet(depth=8)
    monkeypatch.setattr(
        trials.config, "CifarResNet", lambda depth, dtype="float32": small
    )
    variables = small.make(trials.shared.CLASSES).init(
        jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32)
    )
    at = trials.shared.shared()._replace(variables=variables)
    monkeypatch.setattr(trials.shared, "shared", lambda: at)
    out = tmp_path / "trials.json"
    flags = ("--part", "trials", "--repeats", "2", "--out", str(out))
    assert command.main([*flags, "--only", "moments in two passes"]) == 0
    assert seen == [False, False, True, True]
    assert batch_norm.moments is not trials.two_passes
    assert "moments in two passes" in out.read_text()
