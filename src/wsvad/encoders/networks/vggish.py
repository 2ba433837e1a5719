"""VGGish (Hershey et al., "CNN Architectures for Large-Scale Audio Classification", ICASSP 2017) and what it reads.

A VGG of four stages over 0.96 s of sound as a log-mel spectrogram. The public PyTorch conversion of the AudioSet
weights, `vggish-10086976.pth`, has these names. The embedding is what stands before the PCA and the 8-bit rounding of
the released AudioSet features.

Shapes: N examples, T = 96 spectra (10 ms apart), F = 64 mel bands.

    x_N1TF    features: 64 · pool · 128 · pool · 256 256 · pool · 512 512 · pool, 512 × 6·4
    position by position, channels last: 12,288    embeddings: 4096 · 4096 · 128, ReLU after each: the feature_N128
"""

import numpy as np
import torch
from torch import Tensor, nn

from wsvad.encoders.networks.published import Scheme

WIDTH = 128
"""Numbers that an example becomes."""
RATE = 16_000
"""Samples a second."""
WINDOW, HOP, FFT = 400, 160, 512
"""Samples of a spectrum (25 ms), from one to the next (10 ms), and of the Fourier transform."""
BANDS, LOWEST, HIGHEST = 64, 125.0, 7500.0
"""Mel bands, and their ends in Hz."""
OFFSET = 0.01
"""Added before the logarithm."""
SPECTRA = 96
"""Of an example, which do not overlap."""
EXAMPLE = (SPECTRA - 1) * HOP + WINDOW
"""Samples that an example reads."""

SCHEMES = (Scheme(known_as="vggish-10086976.pth", unused=r"pproc\."),)


class VGGish(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers, channels = list[nn.Module](), 1
        for stage in ((64,), (128,), (256, 256), (512, 512)):
            for out in stage:
                layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()]
                channels = out
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 6 * 4, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, WIDTH), nn.ReLU()
        )

    def forward(self, x_N1TF: Tensor) -> Tensor:
        maps_NCTF: Tensor = self.features(x_N1TF)
        return self.embeddings(maps_NCTF.permute(0, 2, 3, 1).flatten(1))


def examples(waveform: np.ndarray) -> np.ndarray:
    """Sound of one channel, 16,000 samples a second in [-1, 1], `(S,)` → `(N, 96, 64)` float32, one example each
    0.96 s. What is left at the end is no example; N is 0 where there is too little."""
    spectra = log_mel(waveform)
    count = len(spectra) // SPECTRA
    return spectra[: count * SPECTRA].reshape(count, SPECTRA, BANDS)


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """`(S,)` → `(T, 64)` float32: the logarithm of the mel bands' magnitudes, one spectrum each 10 ms."""
    if len(waveform) < WINDOW:
        return np.zeros((0, BANDS), dtype=np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(waveform, dtype=np.float64), WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)  # periodic: its length is the period
    magnitudes = np.abs(np.fft.rfft(frames * hann, FFT))
    return np.log(magnitudes @ mel_filters() + OFFSET).astype(np.float32)


def mel_filters() -> np.ndarray:
    """`(257, 64)`: triangles that are equally wide on the mel scale, and 1 at their centres. The constant part belongs
    to none."""
    frequencies = np.linspace(0.0, RATE / 2, FFT // 2 + 1)
    edges = np.linspace(mel(LOWEST), mel(HIGHEST), BANDS + 2)
    rising = (mel(frequencies)[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel(frequencies)[:, None]) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters[0] = 0.0
    return filters


def mel(hertz: np.ndarray | float) -> np.ndarray:
    return 1127.0 * np.log(1.0 + np.asarray(hertz) / 700.0)


def as_input(examples_NTF: np.ndarray) -> Tensor:
    """Examples as the network reads them."""
    return torch.from_numpy(examples_NTF)[:, None]
