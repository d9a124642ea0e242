"""Transport in float64 NumPy and SciPy, written from its definitions, one by one."""

import numpy as np
from scipy import optimize
from scipy.special import log_softmax


def logits(images=24, clusters=5, seed=0, scale=10.0):
    """Cosine logits of a long-tailed set, [N, K]."""
    rng = np.random.default_rng(seed)
    ways = rng.normal(size=(clusters, 8))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    shares = 0.5 ** np.arange(clusters)
    own = rng.choice(clusters, images, p=shares / shares.sum())
    found = ways[own] + 0.5 * rng.normal(size=(images, 8))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return np.float32(scale * found @ ways.T)


def cost(given):
    """-log softmax, float64."""
    return -log_softmax(np.float64(given), axis=1)


def scaled(cost, rho, epsilon=0.1, strength=1.0, prior=None, turns=40_000):
    """Algorithm 1 of the paper, of a kernel: N Q [N, K] and the column scalings."""
    images, clusters = cost.shape
    prior = np.full(clusters, 1 / clusters) if prior is None else prior
    wide = np.hstack([cost, np.zeros((images, 1))])
    kernel = np.exp(-wide / epsilon)
    beta = np.append(rho * np.asarray(prior), 1 - rho)
    power = np.append(np.full(clusters, 1 / (1 + epsilon / strength)), 1.0)
    b = np.full(clusters + 1, 1 / (clusters + 1))
    for _ in range(turns):
        a = 1 / images / (kernel @ b)
        before, b = b, (beta / (kernel.T @ a)) ** power
        if np.allclose(before, b, rtol=1e-14, atol=0):
            break
    # One more scaling of the rows, so that they are exact.
    a = 1 / images / (kernel @ b)
    return images * (a[:, None] * kernel * b)[:, :-1], b


def value(plan, cost, rho, epsilon=0.1, strength=1.0, prior=None):
    """The objective of N Q [N, K], with the entropy of the virtual cluster."""
    images, clusters = cost.shape
    prior = np.full(clusters, 1 / clusters) if prior is None else prior
    q = np.maximum(plan, 1e-300) / images
    rest = np.maximum(1 / images - q.sum(1), 1e-300)
    beta, sums = rho * np.asarray(prior), q.sum(0)
    divergence = (sums * np.log(sums / beta) - sums + beta).sum()
    entropy = -(q * (np.log(q) - 1)).sum() - (rest * (np.log(rest) - 1)).sum()
    return (q * cost).sum() + strength * divergence - epsilon * entropy


def minimised(cost, rho, epsilon=0.1, strength=1.0, prior=None):
    """The minimum of `value` under its constraints, by a general solver: N Q."""
    images, clusters = cost.shape

    def of(x):
        return value(x.reshape(images, clusters), cost, rho, epsilon, strength, prior)

    def slope(x):
        q = np.maximum(x.reshape(images, clusters), 1e-300) / images
        rest = np.maximum(1 / images - q.sum(1, keepdims=True), 1e-300)
        beta = rho * (1 / clusters if prior is None else np.asarray(prior))
        ways = cost + strength * np.log(q.sum(0) / beta)
        return ((ways + epsilon * (np.log(q) - np.log(rest))) / images).ravel()

    rows = np.kron(np.eye(images), np.ones(clusters))
    found = optimize.minimize(
        of,
        np.full(images * clusters, rho / clusters),
        jac=slope,
        method="SLSQP",
        bounds=[(1e-12, 1)] * (images * clusters),
        constraints=[
            {
                "type": "ineq",
                "fun": lambda x: 1 - 1e-12 - rows @ x,
                "jac": lambda x: -rows,
            },
            {
                "type": "eq",
                "fun": lambda x: x.mean() * clusters - rho,
                "jac": lambda x: np.full(images * clusters, 1 / images),
            },
        ],
        options={"ftol": 1e-16, "maxiter": 2000},
    )
    return found.x.reshape(images, clusters)


def programmed(cost, rho):
    """Transport without entropy to clusters of equal sizes, by a linear program."""
    images, clusters = cost.shape
    rows = np.kron(np.eye(images), np.ones(clusters))
    columns = np.kron(np.ones(images), np.eye(clusters))
    found = optimize.linprog(
        cost.ravel(),
        A_ub=np.vstack([rows, columns]),
        b_ub=np.append(np.full(images, 1 / images), np.full(clusters, rho / clusters)),
        A_eq=np.ones((1, images * clusters)),
        b_eq=[rho * (1 - 1e-12)],
    )
    return images * found.x.reshape(images, clusters)


def other(cost, rho, epsilon=0.1, turns=20_000):
    """Entropic partial transport without a virtual cluster: another problem, N Q.

    By projections in turn on rows of at most 1 / N, columns of at most rho / K, and the
    mass rho (Benamou et al. 2015), with entropy of the clusters alone.
    """
    images, clusters = cost.shape
    q = np.exp(-cost / epsilon)
    q *= rho / q.sum()
    kept = [np.ones_like(q) for _ in range(3)]
    for _ in range(turns):
        for at, project in enumerate(
            (
                lambda x: x * np.minimum(1 / images / x.sum(1, keepdims=True), 1),
                lambda x: x * np.minimum(rho / clusters / x.sum(0, keepdims=True), 1),
                lambda x: x * rho / x.sum(),
            )
        ):
            before = q * kept[at]
            q = project(before)
            kept[at] = before / q
    return images * q


def dense(neighbours, similarity):
    """The matrix A [N, N] of a graph."""
    found = np.zeros((len(neighbours),) * 2)
    for row, (others, weights) in enumerate(zip(neighbours, similarity)):
        np.add.at(found[row], others, weights)
    return found


def rounds(given, rho, near, weight, count):
    """The plans of the plain loop of SP2OT after each round, [count, N, K]."""
    a = dense(*near)
    plan, found = np.full(np.shape(given), rho / np.shape(given)[1]), []
    for _ in range(count):
        pulled = cost(given) - weight * (a + a.T) @ plan / len(given)
        plan, _ = scaled(pulled, rho)
        found.append(plan)
    return np.array(found)
