"""APA and AGLU against float64, finite differences, and many digits."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.models import activations, chunks
from ltjax.models.activations import Aglu, Apa, aglu, apa

RNG = np.random.default_rng(0)
Z = [0.0, *(s * z for z in (100, 30, 10, 3, 1, 0.1, 1e-3) for s in (1, -1))]
KAPPA = [-3.0, -1.0, -0.2, 0.0, 0.2, 1.0, 3.0]
LAM = [0.0, 1e-8, 1e-4, 1e-2, 0.1, 0.4, 1.0, 3.0, 50.0]
GRID = np.float32(list(itertools.product(Z, KAPPA, LAM))).T
BOTH = pytest.mark.parametrize("name", ["apa", "aglu"])
FUNCTIONS = {"apa": apa, "aglu": aglu}


def log_eta(z, kappa, lam):
    """Of float64: by logarithms that neither overflow nor cancel."""
    with np.errstate(divide="ignore"):
        positive = np.where(lam > 0, lam, 1)
        closed = np.logaddexp(0, np.log(lam) - kappa * z) / positive
    u = np.exp(-kappa * z)
    w = np.minimum(lam * u, 1e-3)
    series = u * sum((-w) ** n / (n + 1) for n in range(8))
    return -np.where(lam * u < 1e-3, series, closed)


def reference(name, z, kappa, lam):
    """Value and derivatives by z, kappa and lam, in float64."""
    u, minus = np.exp(-kappa * z), -log_eta(z, kappa, lam)
    eta, q = np.exp(-minus), 1 / (lam + np.exp(kappa * z))
    w = np.minimum(lam * u, 1e-3)
    series = u * u * sum((-w) ** n * (n + 1) / (n + 2) for n in range(8))
    closed = (minus - q) / np.where(lam > 0, lam, 1)
    by_lam = np.where(lam * u < 1e-3, series, closed)
    # Of eta; where that is 0, so are they.
    slopes = [np.where(eta > 0, eta * x, 0) for x in (kappa * q, z * q, by_lam)]
    if name == "apa":
        return eta, *slopes
    return z * eta, eta + z * slopes[0], z * slopes[1], z * slopes[2]


def found(function, grid=GRID):
    """Value and gradients of each point of a grid [3, N]."""
    gradients = jax.vmap(jax.grad(function, (0, 1, 2)))(*grid)
    return jax.vmap(function)(*grid), *gradients


@BOTH
def test_values_and_gradients_are_those_of_float64(name):
    wanted = reference(name, *np.float64(GRID))
    for what, got, right in zip(
        ("y", "z", "kappa", "lam"), found(FUNCTIONS[name]), wanted
    ):
        assert np.isfinite(got).all(), what
        np.testing.assert_allclose(got, right, rtol=1e-4, atol=1e-10, err_msg=what)


@BOTH
def test_where_the_closed_form_cancels_all_digits_are_right(name):
    """What autograd makes of the closed form is off by 1e-3 at lam = 1e-4."""
    z, kappa = np.linspace(-2, 4, 61), np.full(61, 1.0)
    for lam in (0.0, 1e-6, 1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5, 1.0):
        grid = np.float32([z, kappa, np.full(61, lam)])
        for got, right in zip(
            found(FUNCTIONS[name], grid), reference(name, *np.float64(grid))
        ):
            np.testing.assert_allclose(got, right, rtol=5e-6, atol=1e-7)


@BOTH
def test_the_reference_has_the_differences_of_its_value(name):
    points = [
        p for p in itertools.product((-2.0, -0.3, 0.7, 3.0), (-1.0, 0.4, 1.2), LAM[2:])
    ]
    for point in points:
        _, *slopes = reference(name, *map(np.float64, point))
        for axis, slope in enumerate(slopes):
            step = 1e-5 * max(abs(point[axis]), 1e-3)
            moved = np.array([point, point], float)
            moved[:, axis] += step, -step
            high, low = (reference(name, *p)[0] for p in moved)
            np.testing.assert_allclose(
                slope, (high - low) / (2 * step), rtol=2e-4, atol=2e-6
            )


def test_the_reference_has_the_digits_of_many():
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(60):
        for z, kappa, lam in GRID.T[::7]:
            z, kappa, lam = map(float, (z, kappa, lam))
            exact = tuple(map(mpmath.mpf, (z, kappa, lam)))
            u = mpmath.exp(-exact[1] * exact[0])
            log = -mpmath.log1p(exact[2] * u) / exact[2] if lam else -u
            np.testing.assert_allclose(
                log_eta(z, kappa, lam), float(log), rtol=1e-9, atol=1e-300
            )


def test_special_cases():
    z = np.float32(RNG.normal(size=50))
    np.testing.assert_allclose(apa(z, 1.7, 1.0), jax.nn.sigmoid(1.7 * z), rtol=1e-5)
    np.testing.assert_allclose(aglu(z, 1.0, 1.0), jax.nn.silu(z), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(apa(z, 1.0, 0.0), np.exp(-np.exp(-z)), rtol=1e-5)
    np.testing.assert_allclose(aglu(z, 1e4, 1.0), np.maximum(z, 0), atol=1e-4)
    at_zero = [(0.0, 0.3679), (0.5, 0.4444), (1.0, 0.5), (4.0, 0.6687)]
    for lam, wanted in at_zero:
        np.testing.assert_allclose(apa(0.0, 0.3, lam), wanted, atol=5e-5)


@pytest.mark.parametrize("function", [apa, aglu])
def test_nothing_is_lost_far_out(function):
    far = np.float32([1e3, 1e5, 1e30, 3e38])
    for z, kappa, lam in itertools.product(
        [*far, *-far], (-2.0, 2.0), (0.0, 1e-8, 1.0)
    ):
        value, slopes = jax.value_and_grad(function, (0, 1, 2))(z, kappa, lam)
        assert np.isfinite(value)
        assert not np.isnan(slopes).any()


@BOTH
def test_gradients_have_the_shapes_of_what_they_are_of(name):
    function = FUNCTIONS[name]
    z = np.float32(RNG.normal(size=(3, 4, 5)))
    for kappa, lam in (((), ()), ((1,), (5,)), ((4, 1), ()), ((3, 1, 1), (3, 4, 5))):
        args = z, jnp.full(kappa, 0.7), jnp.full(lam, 0.3)
        value, pull = jax.vjp(function, *args)
        weights = np.float32(RNG.normal(size=value.shape))
        wanted = reference(name, np.float64(z), np.float64(0.7), np.float64(0.3))
        np.testing.assert_allclose(value, wanted[0], rtol=1e-5, atol=1e-6)
        for got, right, of in zip(pull(weights), wanted[1:], args):
            assert got.shape == of.shape
            full = (1,) * (3 - of.ndim) + of.shape
            axes = tuple(i for i in range(3) if full[i] == 1)
            summed = (weights * right).sum(axes).reshape(of.shape)
            np.testing.assert_allclose(got, summed, rtol=1e-4, atol=1e-5)
    grown, pull = jax.vjp(function, jnp.float32(1), jnp.ones(4), jnp.ones(()))
    assert grown.shape == (4,)
    assert [x.shape for x in pull(jnp.ones(4))] == [(), (4,), ()]


@BOTH
def test_it_maps_compiles_and_loops(name):
    function = FUNCTIONS[name]
    z, kappa, lam = np.float32(RNG.uniform(0.2, 2, (3, 6)))

    def loss(z, kappa, lam):
        return function(z, kappa, lam).sum()

    gradient = jax.grad(loss, (0, 1, 2))
    wanted = [gradient(*point) for point in zip(z, kappa, lam)]
    wanted = [np.stack(leaves) for leaves in zip(*wanted)]
    mapped = jax.jit(jax.vmap(gradient))(z, kappa, lam)
    _, looped = jax.lax.scan(lambda _, p: (None, gradient(*p)), None, (z, kappa, lam))
    for got in (mapped, looped):
        for a, b in zip(got, wanted):
            np.testing.assert_allclose(a, b, rtol=1e-5)
    # Twice: the gradient's own.
    curved = jax.grad(lambda z: jax.grad(loss)(z, 0.8, 0.6))(0.4)
    high, low = (
        reference(name, 0.4 + d, 0.8, np.float64(0.6))[1] for d in (1e-5, -1e-5)
    )
    np.testing.assert_allclose(curved, (high - low) / 2e-5, rtol=1e-3)


@BOTH
def test_bfloat16_is_computed_in_float32(name):
    function = FUNCTIONS[name]
    z = jnp.asarray(RNG.normal(size=64), jnp.bfloat16)
    value, pull = jax.vjp(function, z, jnp.float32(1), jnp.float32(0.5))
    exact = function(z.astype(jnp.float32), 1.0, 0.5)
    assert value.dtype == jnp.bfloat16
    np.testing.assert_array_equal(value, exact.astype(jnp.bfloat16))
    assert [x.dtype for x in pull(value)] == [jnp.bfloat16, jnp.float32, jnp.float32]


@pytest.mark.parametrize("shape", [(7, 5, 3, 16), (6, 8, 4, 4), (11, 16)])
@pytest.mark.parametrize("channels", [False, True])
def test_a_few_images_at_a_time_is_the_same(shape, channels, monkeypatch):
    z, dy = np.float32(RNG.normal(size=(2, *shape)))
    given = jnp.full(shape[-1:] if channels else (1,), 0.7), jnp.float32(0.4)
    _, pull = jax.vjp(aglu, z, *given)
    wanted = pull(dy)
    monkeypatch.setattr(chunks, "_SIZE", 40)
    _, pull = jax.vjp(aglu, z, *given)
    for a, b in zip(jax.jit(pull)(dy), wanted):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_the_released_gradient_is_wrong_in_lam_alone():
    for z, kappa, lam in ((0.7, 1.1, 0.6), (-1.3, 0.4, 0.9)):
        right = jax.grad(aglu, (0, 1, 2))(z, kappa, lam)
        got = jax.grad(aglu, (0, 1, 2))(z, kappa, lam, "released")
        np.testing.assert_array_equal(got[:2], right[:2])
        eta = np.exp(log_eta(z, kappa, np.float64(lam)))
        wanted = -z / lam * eta / (lam + np.exp(kappa * z))
        np.testing.assert_allclose(got[2], wanted, rtol=1e-5)
        assert np.sign(got[2]) == -np.sign(right[2])


@pytest.mark.parametrize("function", [apa, aglu])
def test_what_cannot_be_is_refused_in_a_line(function):
    for args, words in (
        ((0.0, np.nan, 1.0), "kappa is nan; it must be finite"),
        ((0.0, np.inf, 1.0), "kappa is inf; it must be finite"),
        ((0.0, 1.0, np.nan), "lam is nan; it must be finite"),
        ((0.0, 1.0, -0.1), "lam is -0.1; it must be 0 or more"),
    ):
        with pytest.raises(ValueError, match=words):
            function(*args)
    with pytest.raises(ValueError, match="gradient is 'other', not 'true'"):
        aglu(0.0, 1.0, 1.0, "other")


@pytest.mark.parametrize("kind", [Apa, Aglu])
def test_a_module_is_its_function_at_or_above_the_floor(kind):
    x = np.float32(RNG.normal(size=(2, 3, 3, 5)))
    function = {Apa: apa, Aglu: aglu}[kind]
    for per_channel, shape in ((False, (1,)), (True, (5,))):
        module = kind(per_channel=per_channel)
        params = module.init(jax.random.key(0), x)["params"]
        assert jax.tree.map(jnp.shape, params) == {"kappa": shape, "lam": shape}
        low, high = module.kappa
        assert ((params["kappa"] >= low) & (params["kappa"] < high)).all()
        np.testing.assert_array_equal(
            module.apply({"params": params}, x), function(x, *params.values())
        )
    below = {"kappa": jnp.ones(1), "lam": jnp.full(1, -0.3)}
    np.testing.assert_array_equal(
        kind().apply({"params": below}, x), function(x, 1.0, kind.floor)
    )


@pytest.mark.parametrize("clamp", [False, True])
def test_below_the_floor_there_is_a_gradient_unless_it_is_clamped(clamp):
    x, module = np.float32(RNG.normal(size=(4, 3))), Apa(clamp=clamp)

    def loss(lam):
        params = {"kappa": jnp.ones(1), "lam": jnp.full(1, lam)}
        return module.apply({"params": params}, x).sum()

    at_floor = jax.grad(lambda lam: apa(x, 1.0, lam).sum())(module.floor)
    wanted = 0 if clamp else at_floor
    np.testing.assert_allclose(jax.grad(loss)(-0.2), wanted, rtol=1e-6)
    above = jax.grad(lambda lam: apa(x, 1.0, lam).sum())(0.7)
    np.testing.assert_allclose(jax.grad(loss)(0.7), above, rtol=1e-6)


def test_what_was_learnt_is_told_by_place():
    params = {
        "norm": {"scale": jnp.ones(2)},
        "act": {"kappa": jnp.ones(1), "lam": jnp.zeros(1)},
        "block": {"gate": {"activation": {"kappa": jnp.ones(3), "lam": jnp.ones(3)}}},
    }
    told = activations.learnt(params)
    assert list(told) == ["act", "block/gate/activation"]
    kappa, lam = told["act"]
    assert (float(kappa[0]), float(lam[0])) == (1, 0)


def test_constants_are_known_under_jit():
    z = np.float32(RNG.normal(size=5))
    for function in (apa, aglu):
        got = jax.jit(lambda z, f=function: f(z, 1.0, np.ones(5, np.float32)))(z)
        np.testing.assert_allclose(got, function(z, 1.0, 1.0), rtol=1e-6)
        with pytest.raises(ValueError, match=r"lam is -1.0; it must be 0 or more"):
            jax.jit(lambda z, f=function: f(z, 1.0, -1.0))(z)
