"""`audio:FILE`: the sound around each snippet, by a network that embeds sound.

FILE is one of four:

- an ONNX or TFLite network that reads a waveform and gives a vector, or one for each of several moments;
- such a network that reads a mel spectrogram, with `melspectrogram: other.onnx` in `FILE.yaml`, the network beside it
  that makes one of a waveform. It is run on windows of as many frames as it reads, `hop` frames apart;
- the weights of VGGish under their public names, `.pth` or `.safetensors`;
- a local folder of `transformers` with an Audio Spectrogram Transformer (`ASTModel`), whose pooled output is taken.

The vectors of all moments of a snippet are averaged. What files cannot say stands in `FILE.yaml`, with the fields of
`AudioSettings`. Every snippet goes through the network by itself.
"""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from wsvad.encoders.beside import Settings, beside
from wsvad.encoders.encoder import Hearing, file_argument
from wsvad.encoders.hf.files import read_config
from wsvad.encoders.runtime import NetworkFile, Tensor, open_network, output_of
from wsvad.encoders.transformer_folder import model_hash, open_model, open_part
from wsvad.errors import WsvadError
from wsvad.files import sha256
from wsvad.ranges import Count, Range
from wsvad.spelling import plain, reason, short

SECONDS = 0.96
"""Of sound, where nothing says how much the network reads."""
WEIGHTS = (".pth", ".pt", ".safetensors")
"""Ends of files that hold weights alone."""
FREE_RATE = 16_000
"""Samples per second, where nothing says it."""


@dataclass(frozen=True, kw_only=True)
class AudioSettings:
    """How sound becomes the network's input. None means: as the file suggests."""

    rate: Annotated[int, Range(1000, 200_000)] = FREE_RATE
    """Samples per second that the network reads."""
    seconds: Annotated[float, Range(0.01, 60)] | None = None
    """Of sound around the middle of a snippet."""
    scale: Annotated[float, Range(-1e10, 1e10)] = 1.0
    """What samples in [-1, 1] are multiplied by: 32767 for a network that reads 16-bit numbers."""
    melspectrogram: str | None = None
    """Name of a network beside this one, waveform to mel spectrogram `(…, frames, bands)`."""
    mel_scale: Annotated[float, Range(-1e5, 1e5)] = 1.0
    """What the spectrogram is multiplied by …"""
    mel_offset: Annotated[float, Range(-1e5, 1e5)] = 0.0
    """… and what is added then."""
    hop: Count = 8
    """Frames of the spectrogram from one window to the next."""
    output: str | None = None
    """Name of the output that is used, or of any tensor inside of the network."""


@dataclass(frozen=True, kw_only=True)
class NoAudioSettings:
    """VGGish and a folder say all of themselves."""


class Audio:
    """The encoder `audio`."""

    input = "sound"
    argument = "FILE"
    resolve = staticmethod(file_argument)
    summary = "sound: a network in ONNX or TensorFlow Lite, the weights of VGGish, or a folder with an ASTModel"
    extra = "onnx"
    runtime = ("onnxruntime", "ai_edge_litert", "transformers")

    def __init__(self, file: Path | str, settings: Settings | None = None):
        """`settings` are a recipe's, in place of `FILE.yaml`.

        Raises:
            WsvadError: no such file, not such a network, or a library that runs it is not installed.
        """
        self.name = f"audio:{file}"
        self.path = Path(file).expanduser()
        self._network = _opened(self.path, settings)
        self.hearing: Hearing = self._network.hearing
        silence = np.zeros(round(self.hearing.rate * self.hearing.seconds), dtype=np.float32)
        self.width = len(self._vector(silence))

    @staticmethod
    def settings_of(argument: str) -> type:
        """What may be set of a file or folder."""
        return AudioSettings if Path(argument).suffix in (".onnx", ".tflite") else NoAudioSettings

    def encode_sound(self, waves: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(rate · seconds,)` float32 in about [-1, 1] → `(N, D)` float32."""
        rows = [self._vector(wave) for wave in waves]
        return np.stack(rows) if rows else np.zeros((0, self.width), dtype=np.float32)

    def passport(self) -> dict[str, object]:
        weights, settings = self._making
        settings = settings | {"rate": self.hearing.rate, "seconds": self.hearing.seconds}
        return {"encoder": f"audio:{self.path.name}", "width": self.width, "weights": weights, "settings": settings}

    @cached_property
    def _making(self) -> tuple[str, dict[str, Any]]:
        return self._network.making()

    def _vector(self, wave: np.ndarray) -> np.ndarray:
        """One snippet, `(D,)` float32."""
        output = self._network(wave)
        vector = output.reshape(-1, output.shape[-1]).mean(0, dtype=np.float64).astype(np.float32)
        if not np.isfinite(vector).all():
            raise WsvadError(f"{self.path}: it gives NaN or infinity (of silence, perhaps); use another network")
        return vector


def _opened(path: Path, settings: Settings | None) -> "_Waveform | _Spectrogram | _Vggish | _Ast":
    if path.is_dir():
        return _Ast(path)
    if path.suffix in WEIGHTS:
        return _Vggish(path)
    asked = beside(path, AudioSettings, settings)
    return _Spectrogram(path, asked) if asked.melspectrogram else _Waveform(path, asked)


class _One:
    """A network with one input, and one output chosen."""

    def __init__(self, path: Path, output: str | None = None):
        self.path = path
        self.file: NetworkFile = open_network(path)
        if len(self.file.inputs) != 1 or self.file.inputs[0].dtype.kind != "f":
            shapes = ", ".join(f"{plain(one.name)} {list(one.shape)}" for one in self.file.inputs)
            raise WsvadError(f"{path}: its input is not sound in floating-point numbers: {shapes}; use another")
        self.input: Tensor = self.file.inputs[0]
        self.output = output_of(self.file, output)

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """The output for numbers in the shape of the input."""
        batch = np.ascontiguousarray(numbers, dtype=self.input.dtype)
        found = self.output.real(self.file.run({self.input.name: batch}, [self.output.name])[0])
        if not found.ndim or not found.size or found.dtype.kind != "f":
            raise WsvadError(
                f"{self.path}: its output '{plain(self.output.name)}' {list(found.shape)} {found.dtype} is no vector; "
                f"name another by 'output:' in {self.path.name}.yaml"
            )
        return found

    def hears(self, asked: AudioSettings) -> Hearing:
        """What a network of waveforms, `(samples,)` or `(1, …, samples)`, reads."""
        *batch, samples = self.input.shape or (None, None, None, None)
        if len(batch) > 2 or any(size not in (None, 1) for size in batch):
            raise WsvadError(f"{self.path}: its input {list(self.input.shape)} is no waveform, (1, samples)")
        seconds = asked.seconds or (samples / asked.rate if samples else SECONDS)
        if samples and round(seconds * asked.rate) != samples:
            raise WsvadError(
                f"{self.path}: it reads {samples:,} samples, but its YAML file asks for {seconds:g} s at "
                f"{asked.rate:,} a second; leave 'seconds' out"
            )
        return Hearing(rate=asked.rate, seconds=seconds)

    def waveform(self, wave: np.ndarray, scale: float) -> np.ndarray:
        """The output for sound."""
        return self((wave * np.float32(scale)).reshape(*(1 for _ in self.input.shape[1:]), -1))


class _Waveform:
    """Sound in, vectors out."""

    def __init__(self, path: Path, asked: AudioSettings):
        self._asked, self._network = asked, _One(path, asked.output)
        self.hearing = self._network.hears(asked)

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        return self._network.waveform(wave, self._asked.scale)

    def making(self) -> tuple[str, dict[str, Any]]:
        return sha256(*self._network.file.files), {"scale": self._asked.scale, "output": self._network.output.name}


class _Spectrogram:
    """Sound to a mel spectrogram by one network, windows of it to vectors by another."""

    def __init__(self, path: Path, asked: AudioSettings):
        self._asked, self._network = asked, _One(path, asked.output)
        self._mel = _One(path.parent / str(asked.melspectrogram))
        self.hearing = self._mel.hears(asked)
        # Frames and bands stand next to each other, beside a batch and a channel of one.
        sizes = [size for size in self._network.input.shape[1:] if size != 1]
        self._shape = [size for size in sizes if size is not None]
        if len(sizes) != 2 or len(self._shape) != 2:
            raise WsvadError(
                f"{path}: its input {list(self._network.input.shape)} is no spectrogram, (1, frames, bands, 1) with "
                "sizes that are given; use another network"
            )

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        mel = self._mel.waveform(wave, self._asked.scale) * self._asked.mel_scale + self._asked.mel_offset
        mel = mel.reshape(-1, mel.shape[-1])
        frames, bands = self._shape
        if mel.shape[1] != bands or len(mel) < frames:
            raise WsvadError(
                f"{self._network.path}: it reads {frames} frames of {bands} bands, and {self.hearing.seconds:g} s of "
                f"sound give {len(mel)} of {mel.shape[1]}; set 'seconds' in {self._network.path.name}.yaml"
            )
        shape = [1, *(size or 1 for size in self._network.input.shape[1:])]
        starts = range(0, len(mel) - frames + 1, self._asked.hop)
        outputs = [self._network(mel[start : start + frames].reshape(shape)) for start in starts]
        return np.stack([output.reshape(-1, output.shape[-1]).mean(0) for output in outputs])

    def making(self) -> tuple[str, dict[str, Any]]:
        keys = ("scale", "mel_scale", "mel_offset", "hop")
        settings = {key: value for key, value in dataclasses.asdict(self._asked).items() if key in keys}
        settings["output"] = self._network.output.name
        return sha256(*self._network.file.files, *self._mel.file.files), settings


class _Vggish:
    """The published VGGish: the embedding before its PCA, of one example of 0.975 s."""

    def __init__(self, path: Path):
        from wsvad.encoders.networks import published, vggish

        self._path = path
        self._network, scheme = published.load(vggish.VGGish, path, vggish.SCHEMES)
        self._known_as = scheme.known_as
        self.hearing = Hearing(rate=vggish.RATE, seconds=vggish.EXAMPLE / vggish.RATE)

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        import torch

        from wsvad.encoders.networks import vggish

        with torch.inference_mode():
            return self._network(vggish.as_input(vggish.examples(wave))).numpy()

    def making(self) -> tuple[str, dict[str, Any]]:
        return sha256(self._path), {"network": "vggish", "known_as": self._known_as}


class _Ast:
    """An Audio Spectrogram Transformer in a folder of `transformers`."""

    def __init__(self, folder: Path):
        self._folder = folder
        if (kind := read_config(folder)["model_type"]) != "audio-spectrogram-transformer":
            raise WsvadError(f"{folder}: a model of type '{short(kind)}', which is not made for sound; use an ASTModel")
        self._model = open_model(folder, "AutoModel")
        self._features = open_part(folder, "ASTFeatureExtractor")
        config, features = self._model.config, self._features
        if (features.num_mel_bins, features.max_length) != (config.num_mel_bins, config.max_length):
            raise WsvadError(
                f"{folder}: its preprocessor_config.json says {features.max_length} frames of {features.num_mel_bins} "
                f"bands, its config.json {config.max_length} of {config.num_mel_bins}; get both files again"
            )
        # A spectrum each 10 ms; those that the sound is too short for are filled up by the extractor.
        self.hearing = Hearing(rate=features.sampling_rate, seconds=features.max_length / 100)

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        import torch

        try:
            given = self._features(wave, sampling_rate=self.hearing.rate, return_tensors="pt")
            with torch.inference_mode():
                return self._model(given["input_values"]).pooler_output.numpy()
        except Exception as error:  # of a folder whose parts do not fit each other
            raise WsvadError(f"{self._folder}: does not run on sound ({reason(error)}); use another copy") from None

    def making(self) -> tuple[str, dict[str, Any]]:
        return model_hash(self._folder, "preprocessor_config.json"), {"output": "pooler_output"}
