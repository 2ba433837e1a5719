"""VGGish's log-mel front end against its formula written out, and the order of its embedding's input."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from wsvad.encoders.networks.vggish import EXAMPLE, RATE, VGGish, as_input, examples, log_mel, mel, mel_filters


def spectrum_written_out(samples: np.ndarray) -> list[float]:
    """One spectrum of 400 samples, as the AudioSet recipe says it: periodic Hann window, magnitudes of a Fourier
    transform of 512, 64 triangles between 125 and 7,500 Hz on the HTK mel scale, log(x + 0.01)."""
    windowed = [x * (0.5 - 0.5 * math.cos(2 * math.pi * n / 400)) for n, x in enumerate(samples)]
    n = np.arange(400)
    magnitudes = [abs(np.sum(windowed * np.exp(-2j * np.pi * k * n / 512))) for k in range(257)]
    to_mel = lambda hertz: 1127 * math.log(1 + hertz / 700)  # noqa: E731
    low, high = to_mel(125), to_mel(7500)
    width = (high - low) / 65
    bands = []
    for band in range(64):
        left, centre, right = (low + (band + i) * width for i in range(3))
        total = 0.0
        for k in range(1, 257):
            at = to_mel(k * 8000 / 256)
            total += max(0.0, min((at - left) / (centre - left), (right - at) / (right - centre))) * magnitudes[k]
        bands.append(math.log(total + 0.01))
    return bands


def test_a_spectrum_is_the_formula():
    sound = np.random.default_rng(0).uniform(-1, 1, 1000)
    found = log_mel(sound)
    assert found.shape == (1 + (1000 - 400) // 160, 64) and found.dtype == np.float32
    for i in range(len(found)):
        np.testing.assert_allclose(found[i], spectrum_written_out(sound[i * 160 : i * 160 + 400]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("samples", "count"), [(0, 0), (399, 0), (EXAMPLE - 1, 0), (EXAMPLE, 1), (EXAMPLE + 96 * 160, 2), (RATE * 10, 10)]
)
def test_how_many_examples_there_are(samples: int, count: int):
    assert EXAMPLE == 15_600
    assert examples(np.zeros(samples, dtype=np.float32)).shape == (count, 96, 64)


def test_silence_is_the_logarithm_of_the_offset():
    np.testing.assert_allclose(examples(np.zeros(RATE)), math.log(0.01), rtol=1e-6)


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 4000.0])
def test_a_tone_is_loudest_in_its_band(hertz: float):
    tone = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)
    centres = np.linspace(mel(125), mel(7500), 66)[1:-1]
    loudest = log_mel(tone).mean(0).argmax()
    assert abs(int(loudest) - int(np.abs(centres - mel(hertz)).argmin())) <= 1


def test_neighbouring_triangles_add_up_to_one():
    total = mel_filters()[1:].sum(1)
    hertz = np.linspace(0, RATE / 2, 257)[1:]
    centres = np.linspace(mel(125), mel(7500), 66)
    inside = (mel(hertz) >= centres[1]) & (mel(hertz) <= centres[-2])
    np.testing.assert_allclose(total[inside], 1)
    assert mel_filters()[0].sum() == 0


def test_the_embedding_reads_positions_in_order_with_channels_last():
    """As the TensorFlow network does, of which these are the weights."""
    with torch.device("meta"):
        network = VGGish()
    assert tuple(network.embeddings[0].weight.shape) == (4096, 12288)
    maps_NCTF = torch.arange(2 * 512 * 6 * 4, dtype=torch.float32).reshape(2, 512, 6, 4)
    network.features, network.embeddings = nn.Identity(), nn.Identity()
    flat = network(maps_NCTF)
    assert flat[1, (5 * 4 + 2) * 512 + 7] == maps_NCTF[1, 7, 5, 2]
    assert flat[0, 512 * 24 - 1] == maps_NCTF[0, 511, 5, 3]


def test_maps_and_embeddings_are_as_large_as_published():
    with torch.device("meta"):
        network, x = VGGish(), torch.zeros(3, 1, 96, 64)
    assert network.features(x).shape == (3, 512, 6, 4)
    assert network(x).shape == (3, 128)
    assert as_input(examples(np.zeros(RATE * 3))).shape == (3, 1, 96, 64)
