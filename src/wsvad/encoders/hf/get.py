"""Download a model from a hub, when it is asked for: what would come is shown first, and only safetensors and settings
come. The files go to the cache that all libraries of Hugging Face share.

The hub's library says what there is; the files are fetched here. Its own download names files in the cache by a header
of the answer, wherever that leads to, and takes as much as is sent.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsvad.encoders.hf.files import CONFIG, INDEX, NAME, WHOLE, cache, cached_as, is_offline
from wsvad.errors import UsageError, WsvadError, refuse_shortage
from wsvad.files import atomic, check_writable, is_file, write_text
from wsvad.progress import report_progress
from wsvad.spelling import plain, reason, short

SETTINGS = re.compile(r"[\w.-]+\.(json|jinja)|(vocab|merges)\.txt|(tokenizer|spiece|sentencepiece)[\w.]*\.model")
"""Files beside the weights: settings, and what a tokenizer knows."""
PART = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
COMMIT = re.compile(r"[0-9a-f]{40,64}")
HUB = "https://huggingface.co"
PATIENCE = 30
"""Seconds without a byte, after which a hub is given up."""
MOST_UNSTATED = 2**26
"""Bytes of a file whose size the hub does not state, at most."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One file of a model."""

    name: str
    size: int
    sha256: str | None
    """As the hub states it, for files of weights."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a download would bring."""

    name: str
    revision: str
    """As it was asked for."""
    commit: str
    licence: str
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(piece.size for piece in self.pieces)

    @property
    def folder(self) -> Path:
        """Where the files go."""
        return cache() / cached_as(self.name) / "snapshots" / self.commit

    @property
    def there(self) -> bool:
        """Whether all of them are there already."""
        return all(is_file(self.folder / piece.name) for piece in self.pieces)


def offer(argument: str) -> Offer:
    """Ask the hub for a model's files: their names, sizes, hashes and licence. Nothing is downloaded yet.

    Raises:
        UsageError: it is no name of a model.
        WsvadError: the hub has no such model, has it without safetensors, or cannot be reached.
    """
    match = NAME.fullmatch(argument)
    if match is None or argument.startswith(".") or ".." in argument:
        raise UsageError(f"--get '{plain(argument)}': give a model as ORG/NAME or ORG/NAME@REVISION")
    name, revision = match["name"], match["revision"] or "main"
    with _asking(argument) as hub:
        info = hub.HfApi(endpoint=endpoint()).model_info(name, revision=revision, files_metadata=True)
        pieces = tuple(_pieces(argument, info.siblings or []))
    commit = str(info.sha)
    if not COMMIT.fullmatch(commit):
        raise WsvadError(f"{argument}: the hub states no commit ('{short(commit)}'); try again later")
    card = getattr(info, "card_data", None)
    licence = card.get("license") if card is not None else None
    return Offer(name=name, revision=revision, commit=commit, licence=short(licence or "not stated"), pieces=pieces)


def fetch(asked: Offer) -> Path:
    """Download what was offered, and check it by its hash; what is there already is not downloaded again.

    Raises:
        WsvadError: the disk has no room, the hub cannot be reached, or a file is not what was offered.
    """
    check_writable(cache())
    free = shutil.disk_usage(next(one for one in (cache(), *cache().absolute().parents) if one.exists())).free
    if not asked.there and asked.size > free:
        raise WsvadError(
            f"{cache()}: {asked.name} takes {in_units(asked.size)} and {in_units(free)} are free; free some space, or "
            "set HF_HUB_CACHE to a folder on another disk"
        )
    done = 0
    for piece in asked.pieces:
        if not is_file(asked.folder / piece.name):
            with atomic(asked.folder / piece.name) as temporary:
                _download(asked, piece, temporary, done)
        done += piece.size
    if not COMMIT.fullmatch(asked.revision):
        write_text(cache() / cached_as(asked.name) / "refs" / asked.revision, asked.commit)
    return asked.folder


def _download(asked: Offer, piece: Piece, to: Path, before: int) -> None:
    """One file, of which no more is taken than was offered; `before` bytes of others are there.

    Raises:
        WsvadError: it is another one, or cannot be had.
    """
    most, size, hashed = piece.size or MOST_UNSTATED, 0, hashlib.sha256()
    with _asking(asked.name) as hub, to.open("wb") as file:
        url = hub.hf_hub_url(asked.name, piece.name, revision=asked.commit, endpoint=endpoint())
        # Not packed: what is sent is what is counted.
        headers = hub.utils.build_hf_headers() | {"Accept-Encoding": "identity"}
        with hub.get_session().stream("GET", url, headers=headers, timeout=PATIENCE) as answer:
            hub.utils.hf_raise_for_status(answer)
            for chunk in answer.iter_raw():
                size += len(chunk)
                if size > most:
                    break
                file.write(chunk)
                hashed.update(chunk)
                detail = f"{piece.name}, {in_units(before + size)} of {in_units(asked.size)}"
                report_progress("download", before + size, asked.size or None, detail)
    if (piece.size and size != piece.size) or size > most:
        there = f"{size:,} bytes" if size < most else f"more than {most:,} bytes"
        raise WsvadError(
            f"{asked.name}: {piece.name} is not what the hub offered ({there}, not {piece.size:,}); "
            "run the command again"
        )
    if piece.sha256 is not None and hashed.hexdigest() != piece.sha256:
        raise WsvadError(f"{asked.name}: {piece.name} is not what the hub offered (SHA-256); run the command again")


def endpoint() -> str:
    """The hub that is asked."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def in_units(size: int) -> str:
    """Bytes as people read them."""
    for unit, bytes_in in (("GB", 2**30), ("MB", 2**20)):
        if size >= bytes_in:
            return f"{size / bytes_in:,.1f} {unit}"
    return f"{size / 2**10:,.1f} kB"


def _pieces(argument: str, siblings: list[Any]) -> Iterator[Piece]:
    """Those of a model's files that are downloaded."""
    sizes = {str(one.rfilename): one for one in siblings}
    weights = [WHOLE] if WHOLE in sizes else sorted(name for name in sizes if INDEX in sizes and PART.fullmatch(name))
    if CONFIG not in sizes or not weights:
        lacking = CONFIG if CONFIG not in sizes else WHOLE
        raise WsvadError(
            f"{argument}: the hub has this model without {lacking}; weights in other formats can run code and are not "
            "downloaded; choose another model, or a revision that has it (many are at NAME@refs/pr/1)"
        )
    if WHOLE not in weights:
        weights.append(INDEX)
    for name in sorted(name for name in sizes if SETTINGS.fullmatch(name) and name != INDEX) + weights:
        one = sizes[name]
        stated = getattr(one.lfs, "sha256", None) if one.lfs is not None else None
        size = int(one.size or 0)
        if size < 0:
            raise ValueError(f"the size of {name} is {size}")
        yield Piece(name=name, size=size, sha256=stated)


@contextmanager
def _asking(argument: str) -> Iterator[Any]:
    """The hub's library, whose errors become one line.

    Raises:
        WsvadError: it is not installed, or anything that it finds.
    """
    if is_offline():
        raise WsvadError(
            f"{argument}: HF_HUB_OFFLINE is set, so nothing is downloaded; unset it and run the command again"
        )
    try:
        import huggingface_hub as hub
        from huggingface_hub import errors
    except ImportError:
        raise WsvadError(
            f"{argument}: downloading needs huggingface_hub, which is not installed; pip install 'wsvad[transformers]'"
        ) from None
    try:
        yield hub
    except errors.GatedRepoError:
        raise WsvadError(
            f"{argument}: its authors give it only to those who accept their terms; accept them at {endpoint()}/"
            f"{argument.partition('@')[0]}, log in with 'hf auth login' and run the command again"
        ) from None
    except errors.RevisionNotFoundError:
        raise WsvadError(f"{argument}: {endpoint()} has no such revision; check what stands behind the @") from None
    except errors.RepositoryNotFoundError:
        raise WsvadError(f"{argument}: {endpoint()} has no such model, or it is private; check the name") from None
    except errors.EntryNotFoundError:
        raise WsvadError(f"{argument}: a file is no longer there; run the command again") from None
    except WsvadError:
        raise
    except Exception as error:  # of a network, or of a server that answers something else
        refuse_shortage(error, cache())
        raise WsvadError(
            f"{argument}: cannot be downloaded from {endpoint()} ({reason(error)}); check the network and run the "
            "command again"
        ) from None
