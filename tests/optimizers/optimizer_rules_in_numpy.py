"""The optimizers' equations in NumPy, one number or one row at a time, in float64."""

from __future__ import annotations

import math

import numpy as np


def dense(ids, values, shape):
    """The dense gradient that slices stand for: repeated ids add up."""
    gradient = np.zeros(shape)
    for row, value in zip(ids, values, strict=True):
        gradient[row] += value
    return gradient


class Ftrl:
    """The author's G-FTRL, plus l1, over the whole table."""

    def __init__(self, shape, alpha, beta=0.0, l1=0.0, l2=0.0, l21=0.0, start=0.0):
        self.alpha, self.beta, self.l1, self.l2, self.l21 = alpha, beta, l1, l2, l21
        self.n = np.full(shape, start, np.float64)
        self.z = np.zeros(shape)

    def apply(self, w, gradient, only=None):
        """Steps all rows, or those in `only`."""
        rows, width = w.shape
        for row in range(rows) if only is None else sorted(set(only)):
            u = []
            for column in range(width):
                g = gradient[row, column]
                n = self.n[row, column]
                sigma = (math.sqrt(n + g * g) - math.sqrt(n)) / self.alpha
                self.n[row, column] = n + g * g
                self.z[row, column] += g - sigma * w[row, column]
                z = self.z[row, column]
                u.append(0.0 if abs(z) <= self.l1 else z - math.copysign(self.l1, z))
            length = math.sqrt(sum(value * value for value in u))
            threshold = self.l21 * math.sqrt(width)
            for column in range(width):
                if length <= threshold or u[column] == 0.0:
                    w[row, column] = 0.0
                else:
                    denominator = (self.beta + math.sqrt(self.n[row, column])) / self.alpha + self.l2
                    w[row, column] = u[column] * (threshold / length - 1) / denominator


class SparseGroupFtrl:
    """tfplus' form: l2 doubled, no beta."""

    def __init__(self, shape, lr, l1, l2, l21, start):
        self.lr, self.l1, self.l2, self.l21 = lr, l1, l2, l21
        self.n = np.full(shape, start, np.float64)
        self.z = np.zeros(shape)

    def apply(self, w, gradient):
        for row in range(w.shape[0]):
            n = self.n[row] + gradient[row] ** 2
            self.z[row] += gradient[row] - (np.sqrt(n) - np.sqrt(self.n[row])) / self.lr * w[row]
            self.n[row] = n
            u = self.z[row] - np.clip(self.z[row], -self.l1, self.l1)
            length = np.linalg.norm(u)
            threshold = self.l21 * math.sqrt(w.shape[1])
            if length > threshold:
                w[row] = -u * (1 - threshold / length) / (np.sqrt(n) / self.lr + 2 * self.l2)
            else:
                w[row] = 0.0


class Adam:
    """Adam; with `only`, on those rows."""

    def __init__(self, shape, lr, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.lr, self.beta_1, self.beta_2, self.epsilon = lr, beta_1, beta_2, epsilon
        self.m, self.v, self.t = np.zeros(shape), np.zeros(shape), 0

    def apply(self, w, gradient, only=None):
        self.t += 1
        rate = self.lr * math.sqrt(1 - self.beta_2**self.t) / (1 - self.beta_1**self.t)
        for row in range(w.shape[0]) if only is None else sorted(set(only)):
            for column in range(w.shape[1]):
                g = gradient[row, column]
                self.m[row, column] = self.beta_1 * self.m[row, column] + (1 - self.beta_1) * g
                self.v[row, column] = self.beta_2 * self.v[row, column] + (1 - self.beta_2) * g * g
                w[row, column] -= rate * self.m[row, column] / (math.sqrt(self.v[row, column]) + self.epsilon)


class Adagrad:
    """Adagrad over the whole table."""

    def __init__(self, shape, lr, start=0.1, epsilon=1e-7):
        self.lr, self.epsilon, self.n = lr, epsilon, np.full(shape, start, np.float64)

    def apply(self, w, gradient, only=None):
        for row in range(w.shape[0]):
            for column in range(w.shape[1]):
                g = gradient[row, column]
                self.n[row, column] += g * g
                w[row, column] -= self.lr * g / math.sqrt(self.n[row, column] + self.epsilon)


class RowWiseAdagrad:
    """One accumulator per row; with `first_order`, one more for the last column, at a tenth of the rate."""

    def __init__(self, shape, lr, start=0.0, epsilon=1e-8, first_order=False):
        self.lr, self.epsilon, self.first_order = lr, epsilon, first_order
        self.rows = np.full(shape[0], start, np.float64)
        self.columns = np.full(shape[0], start, np.float64)

    def apply(self, w, gradient, only=None):
        width = w.shape[1] - int(self.first_order)
        for row in range(w.shape[0]):
            self.rows[row] += sum(gradient[row, column] ** 2 for column in range(width)) / width
            for column in range(width):
                w[row, column] -= self.lr * gradient[row, column] / (math.sqrt(self.rows[row]) + self.epsilon)
            if self.first_order:
                g = gradient[row, width]
                self.columns[row] += g * g
                w[row, width] -= 0.1 * self.lr * g / (math.sqrt(self.columns[row]) + self.epsilon)
