"""SWAG on a regression of one variable, with a plot of its draws.

    python examples/swag_regression.py swag_regression.png

trains a network of two hidden layers on noisy points with a gap, folds the weights of
late epochs into a `swag.State`, and draws functions from it. A few seconds on a CPU.
"""

import sys

import jax
import jax.numpy as jnp
import optax
from matplotlib.figure import Figure

from ltjax.posterior import swag

WIDTH, NOISE = 50, 0.1


def points(key, count=100):
    """Noisy values [N] of a curve at places [N] that leave out the middle."""
    place_key, noise_key = jax.random.split(key)
    x = jax.random.uniform(place_key, (count,), minval=-1.0, maxval=1.0)
    x = jnp.sign(x) * (0.35 + 0.65 * jnp.abs(x))
    return x, curve(x) + NOISE * jax.random.normal(noise_key, (count,))


def curve(x):
    """What the points are taken from."""
    return jnp.sin(4 * x) + 0.5 * x


def init(key):
    """Weights of a network of one input, two hidden layers and one output."""
    bend, shift, second, last = jax.random.split(key, 4)
    return [
        # Units that bend at different places of -1..1.
        layer(3 * jax.random.normal(bend, (1, WIDTH)))
        | {"b": 3 * jax.random.normal(shift, (WIDTH,))},
        layer(jax.random.normal(second, (WIDTH, WIDTH)) / jnp.sqrt(WIDTH)),
        layer(jax.random.normal(last, (WIDTH, 1)) / jnp.sqrt(WIDTH)),
    ]


def layer(weights):
    """A layer with these weights and zero biases."""
    return {"w": weights, "b": jnp.zeros(weights.shape[1])}


def predict(params, x):
    """The network's values [N] at the places x [N]."""
    h = x[:, None]
    for each in params[:-1]:
        h = jnp.tanh(h @ each["w"] + each["b"][None])
    return (h @ params[-1]["w"] + params[-1]["b"][None])[:, 0]


def train(key, x, y, epochs=200, start=100, batch_size=5):
    """The posterior of the weights after each epoch from `start` on.

    At a constant rate SGD does not settle, and where it wanders is what SWAG describes:
    a larger rate, or smaller batches, widen the draws.
    """
    init_key, order_key = jax.random.split(key)
    tx = optax.sgd(0.02, momentum=0.9)

    def step(carry, rows):
        params, state = carry
        grads = jax.grad(lambda p: jnp.square(predict(p, x[rows]) - y[rows]).mean())
        updates, state = tx.update(grads(params), state)
        return (optax.apply_updates(params, updates), state), None

    def epoch(carry, number):
        carry, posterior = carry
        order = jax.random.permutation(jax.random.fold_in(order_key, number), len(x))
        carry, _ = jax.lax.scan(step, carry, order.reshape(-1, batch_size))
        taken = swag.update(posterior, carry[0])
        posterior = jax.tree.map(
            lambda new, old: jnp.where(number >= start, new, old), taken, posterior
        )
        return (carry, posterior), None

    params = init(init_key)
    carry = (params, tx.init(params)), swag.init(params, rank=20)
    (_, posterior), _ = jax.jit(lambda c: jax.lax.scan(epoch, c, jnp.arange(epochs)))(
        carry
    )
    return posterior


def functions(key, posterior, x, draws=50, scale=1.0):
    """Values [draws, N] at x [N] of networks drawn from the posterior."""
    keys, scales = jax.random.split(key, draws), jnp.full(draws, scale)
    return jax.vmap(predict, (0, None))(swag.draws(keys, posterior, scales), x)


def plot(x, y, grid, mean, drawn, path):
    """The points, the mean of the weights, and the spread of the draws."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    middle, spread = drawn.mean(0), 2 * drawn.std(0)
    axes.fill_between(
        grid, middle - spread, middle + spread, alpha=0.25, lw=0, label="draws, ± 2 sd"
    )
    axes.plot(grid, drawn[:8].T, lw=0.5, color="C0", alpha=0.6)
    axes.plot(grid, mean, color="C0", label="mean of the weights")
    axes.plot(grid, curve(grid), color="black", ls=":", label="curve")
    axes.plot(x, y, ".", color="C1", label="points")
    axes.set(xlabel="x", ylabel="y", xlim=(-1.5, 1.5), ylim=(-2, 2))
    axes.legend(frameon=False, fontsize="small", ncols=2)
    figure.savefig(path, dpi=120)


def main(path):
    """Trains, draws and plots; prints the spread among the points and off them."""
    data_key, train_key, draw_key = jax.random.split(jax.random.key(0), 3)
    x, y = points(data_key)
    posterior = train(train_key, x, y)
    grid = jnp.linspace(-1.5, 1.5, 301)
    drawn = functions(draw_key, posterior, grid)
    plot(x, y, grid, predict(posterior.mean, grid), drawn, path)
    distance = jnp.abs(grid)
    places = {
        "among the points": (distance > 0.35) & (distance < 1),
        "in the gap": distance < 0.3,
        "beyond the points": distance > 1.2,
    }
    spread = {name: float(drawn.std(0)[mask].mean()) for name, mask in places.items()}
    for name, value in spread.items():
        print(f"standard deviation of the draws {name}: {value:.3f}")
    return spread


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "swag_regression.png")
