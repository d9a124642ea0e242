"""P2OT against float64 solvers that know nothing of it, and its laws."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from jax.test_util import check_grads

from ltjax.mistake import Mistake
from ltjax.representation import semidual, transport
from ltjax.representation.transport import p2ot, ramp

LOGITS = oracles.logits()
COST = oracles.cost(LOGITS)
PRIOR = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
RHOS = pytest.mark.parametrize("rho", [0.106, 0.5, 0.97, 1.0])


pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


@RHOS
@pytest.mark.parametrize("strength", [0.3, 1.0, np.inf])
@pytest.mark.parametrize("prior", [None, PRIOR], ids=["uniform", "given"])
def test_float32_is_near_the_scaling_loop_in_float64(rho, strength, prior):
    found = p2ot(LOGITS, rho, strength=strength, prior=prior)
    wanted, _ = oracles.scaled(COST, rho, strength=strength, prior=prior)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@RHOS
def test_float64_is_the_scaling_loop(double, rho):
    found = p2ot(np.float64(LOGITS), rho, prior=PRIOR)
    wanted, _ = oracles.scaled(COST, rho, prior=PRIOR)
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_it_is_the_minimum_that_a_general_solver_finds(double, rho):
    small = oracles.logits(6, 3, seed=3)
    found = np.asarray(p2ot(np.float64(small), rho, epsilon=0.2, strength=0.7))
    args = oracles.cost(small), rho, 0.2, 0.7
    wanted = oracles.minimised(*args)
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    # Closer than that solver comes.
    assert oracles.value(found, *args) <= oracles.value(wanted, *args) + 1e-12


def test_all_mass_and_a_strength_are_unbalanced_transport(double):
    # Of K clusters, none of them virtual.
    kernel = np.exp(-COST / 0.1)
    b = np.ones(5)
    for _ in range(5000):
        a = 1 / len(kernel) / (kernel @ b)
        b = (0.2 / (kernel.T @ a)) ** (1 / 1.1)
    a = 1 / len(kernel) / (kernel @ b)
    wanted = len(kernel) * a[:, None] * kernel * b
    np.testing.assert_allclose(p2ot(np.float64(LOGITS), 1.0), wanted, atol=1e-12)


def test_exact_sizes_and_little_entropy_are_a_linear_program(double):
    wanted = oracles.programmed(COST, 0.5)
    far = [
        np.abs(
            np.asarray(p2ot(np.float64(LOGITS), 0.5, epsilon=epsilon, strength=np.inf))
            - wanted
        ).max()
        for epsilon in (0.1, 0.01, 0.001)
    ]
    assert far[0] > 0.05
    assert far[2] < 0.02
    assert far == sorted(far, reverse=True)


def test_transport_without_entropy_of_the_rest_is_another_problem(double):
    args = {"epsilon": 0.1, "strength": np.inf}
    found = np.asarray(p2ot(np.float64(LOGITS), 0.5, **args))
    assert np.abs(found - oracles.other(COST, 0.5)).max() > 0.02


def test_large_finite_weight_of_the_virtual_cluster_comes_near(double):
    # The paper's problem as it is written, whose weight of that cluster is finite.
    found = np.asarray(p2ot(np.float64(LOGITS), 0.4))
    wide = np.hstack([COST, np.zeros((len(COST), 1))])
    kernel, far = np.exp(-wide / 0.1), []
    beta = np.append(np.full(5, 0.4 / 5), 0.6)
    for weight in (10, 100, 1000):
        power = np.append(np.full(5, 1 / 1.1), weight / (weight + 0.1))
        b = np.ones(6)
        for _ in range(20_000):
            a = 1 / len(COST) / (kernel @ b)
            b = (beta / (kernel.T @ a)) ** power
        plan = len(COST) * a[:, None] * kernel * b
        far.append(np.abs(plan[:, :-1] - found).max())
    np.testing.assert_allclose(far[0] / far[1], 10, rtol=0.3)
    np.testing.assert_allclose(far[1] / far[2], 10, rtol=0.1)


@pytest.mark.filterwarnings("ignore:If reg_type = entropy:UserWarning")
def test_python_optimal_transport_finds_the_same(double):
    ot = pytest.importorskip("ot")
    images, clusters = COST.shape
    a, b = np.full(images, 1 / images), np.full(clusters, 1 / clusters)
    kept = {"reg_type": "entropy", "numItermax": 20_000, "stopThr": 1e-14}
    weights = np.inf, 1.0
    full = ot.unbalanced.sinkhorn_unbalanced(a, b, COST, 0.1, weights, **kept)
    found = p2ot(np.float64(LOGITS), 1.0)
    np.testing.assert_allclose(found, images * full, atol=1e-9)
    # A part, with the virtual cluster's target as its converged scaling has it.
    wide = np.hstack([COST, np.zeros((images, 1))])
    _, scalings = oracles.scaled(COST, 0.5)
    target = np.append(0.5 * b, 0.5 * scalings[-1] ** 0.1)
    part = ot.unbalanced.sinkhorn_unbalanced(a, target, wide, 0.1, weights, **kept)
    found = p2ot(np.float64(LOGITS), 0.5)
    np.testing.assert_allclose(found, images * part[:, :-1], atol=1e-9)
    exact = ot.sinkhorn(
        a, np.append(0.5 * b, 0.5), wide, 0.1, numItermax=50_000, stopThr=1e-14
    )
    found = p2ot(np.float64(LOGITS), 0.5, strength=np.inf)
    np.testing.assert_allclose(found, images * exact[:, :-1], atol=1e-9)


def test_the_loop_of_the_paper_in_logarithms(double):
    given = semidual.problem(jnp.asarray(COST), 0.3, 0.1, 1.0)
    for turns in (1, 7, 40):
        found = semidual.scaling(given, semidual.begin(given), steps=turns)
        _, b = oracles.scaled(COST, 0.3, turns=turns)
        np.testing.assert_allclose(np.exp(found.potentials), b, rtol=1e-10)
    ended = semidual.scaling(given, semidual.begin(given), 1e-9, steps=100_000)
    assert ended.residual <= 1e-9
    quick = semidual.newton(given, semidual.begin(given), 1e-9)
    assert 20 * quick.steps < ended.steps
    np.testing.assert_allclose(
        semidual.plan(given, ended.potentials),
        semidual.plan(given, quick.potentials),
        atol=1e-7,
    )


@RHOS
def test_masses(rho):
    found = np.asarray(p2ot(LOGITS, rho), np.float64)
    np.testing.assert_allclose(found.sum(1).mean(), rho, rtol=1e-5)
    assert (found >= 0).all()
    assert (found.sum(1) <= 1 + 1e-6).all()
    exact = np.asarray(p2ot(LOGITS, rho, strength=np.inf, prior=PRIOR), np.float64)
    np.testing.assert_allclose(exact.mean(0), rho * PRIOR, rtol=1e-4)


def test_rows_and_clusters_have_no_order():
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(24), rng.permutation(5)
    found = np.asarray(p2ot(LOGITS, 0.4))[rows][:, columns]
    np.testing.assert_allclose(p2ot(LOGITS[rows][:, columns], 0.4), found, atol=1e-5)
    # Of every image twice, the same; and logits are known up to a number of each row.
    twice = np.vstack([LOGITS, LOGITS + 3])
    np.testing.assert_allclose(
        p2ot(twice, 0.4)[24:][rows][:, columns], found, atol=1e-5
    )


def test_an_empty_prior_takes_nothing():
    found = p2ot(LOGITS, 0.5, prior=[0.5, 0.5, 0, 0, 0])
    assert not found[:, 2:].any()
    np.testing.assert_allclose(found, np.pad(_of_two(), ((0, 0), (0, 3))), atol=1e-5)


def _of_two():
    two = COST[:, :2]
    return oracles.scaled(two, 0.5)[0]


def test_rho_may_be_traced_and_a_batch_mapped():
    rhos = jnp.array([0.1, 0.6, 1.0])
    found = jax.jit(jax.vmap(lambda rho: p2ot(LOGITS, rho)))(rhos)
    for of_one, rho in zip(found, rhos):
        np.testing.assert_allclose(of_one, p2ot(LOGITS, float(rho)), atol=1e-5)


def test_no_gradient_flows_unless_asked_for():
    def loss(logits):
        return (p2ot(logits, 0.5) * logits).sum()

    np.testing.assert_allclose(jax.grad(loss)(LOGITS), p2ot(LOGITS, 0.5), atol=1e-6)


@pytest.mark.parametrize("strength", [1.0, np.inf])
def test_implicit_gradients_are_those_of_finite_differences(double, strength):
    small = jnp.asarray(oracles.logits(7, 3, seed=1), jnp.float64)
    weights = np.random.default_rng(2).normal(size=(7, 3))

    def of(logits, rho, epsilon):
        made = {"epsilon": epsilon, "strength": strength, "implicit": True}
        return (weights * transport.solve(logits, rho, **made).plan).sum()

    check_grads(of, (small, 0.4, 0.3), order=1, modes=["rev"], atol=1e-5, rtol=1e-5)
    whole = lambda logits: of(logits, 1.0, 0.3)  # noqa: E731
    check_grads(whole, (small,), order=1, modes=["rev"], atol=1e-5, rtol=1e-5)


def test_a_warm_start_begins_near_the_end():
    dual = transport.solve(LOGITS, 0.5).dual
    later = transport.solve(LOGITS + 0.01, 0.51, start=dual.potentials)
    cold = transport.solve(LOGITS + 0.01, 0.51)
    np.testing.assert_allclose(later.plan, cold.plan, atol=1e-5)
    assert later.dual.steps < cold.dual.steps
    # One that is spoilt does not spoil what comes after.
    spoilt = dual.potentials.at[0].set(jnp.nan)
    found = transport.solve(LOGITS, 0.5, start=spoilt).plan
    np.testing.assert_allclose(found, p2ot(LOGITS, 0.5), atol=1e-5)
    # From one of all mass, whose virtual cluster takes nothing, to a part and back.
    full = transport.solve(LOGITS, 1.0)
    part = transport.solve(LOGITS, 0.5, start=full.dual.potentials)
    np.testing.assert_allclose(part.plan, p2ot(LOGITS, 0.5), atol=1e-5)
    again = transport.solve(LOGITS, 1.0, start=part.dual.potentials)
    np.testing.assert_allclose(again.plan, full.plan, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 10.0, 100.0, 1e4])
@pytest.mark.parametrize("rho", [1e-3, 0.106, 1.0])
def test_nothing_is_lost_at_the_ends(scale, rho):
    given = oracles.logits(40, 6, seed=4, scale=scale)
    for strength in (0.1, 1.0, np.inf):
        found = transport.solve(given, rho, strength=strength)
        assert np.isfinite(found.plan).all()
        assert np.isfinite(found.dual.residual)
    # Where all is alike, all have the same.
    if scale == 0:
        np.testing.assert_allclose(found.plan, rho / 6, rtol=1e-4)


def test_a_traced_image_that_is_not_finite_has_no_label():
    broken = LOGITS.copy()
    broken[3, 1] = np.nan
    found = jax.jit(lambda x: p2ot(x, 0.5))(broken)
    assert np.isfinite(found).all()
    assert not found[3].any()


def test_the_ramp():
    at = np.array([0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1])
    wanted = [0.106064, 0.115680, 0.154049, 0.357854, 0.758454, 0.956106, 0.999550, 1]
    np.testing.assert_allclose(ramp(at), wanted, atol=5e-7)
    np.testing.assert_allclose(ramp(0.5, 0.2, 0.6), 0.2 + 0.4 * np.exp(-1.25))
    assert 0 < ramp(0.0, 0.0) < 0.01


@pytest.mark.parametrize(
    ("args", "kept", "told"),
    [
        ((LOGITS[:4], 0.5), {}, "clusters are 5 of 4 images"),
        ((LOGITS[:, :1], 0.5), {}, "clusters are 1; they must be at least 2"),
        ((LOGITS, 0.0), {}, "rho: found 0.0; it must be above 0, at most 1"),
        ((LOGITS, 1.01), {}, "rho: found 1.01"),
        ((LOGITS, np.nan), {}, "rho: found nan"),
        ((LOGITS * np.inf, 0.5), {}, "logits: found -?inf; all must be finite"),
        ((LOGITS[0], 0.5), {}, r"logits have shape \(5,\)"),
        ((LOGITS, 0.5), {"epsilon": 0.0}, "epsilon: found 0.0"),
        ((LOGITS, 0.5), {"strength": -1.0}, "strength: found -1.0"),
        ((LOGITS, 0.5), {"prior": [1, 2]}, r"prior has shape \(2,\)"),
        ((LOGITS, 0.5), {"prior": -PRIOR}, "prior: found -0.4; no share is below 0"),
    ],
)
def test_bad_input_is_told_in_a_line(args, kept, told):
    with pytest.raises(Mistake, match=told) as caught:
        p2ot(*args, **kept)
    assert "\n" not in str(caught.value)
