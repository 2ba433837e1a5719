"""Frame metrics of a UCF-Crime sized test set, here and in scikit-learn."""

import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from wsvad.evaluation.curves import Curve, evaluate

VIDEOS, SNIPPETS = 290, 239  # 290 · 239 · 16 = 1.1 million frames
REPEATS = 5


def rows(quick: bool = False) -> list[dict[str, str | float]]:
    """Seconds of processor time (best of five, or one if `quick`) for all numbers of a results table, and their ratio.

    scikit-learn is given the frame arrays that published code gives it: AUC, AP, its trapezoidal version, AUC_A, AP_A
    and the AUC of one mean score a video.
    """
    repeats = 1 if quick else REPEATS
    rng = np.random.default_rng(0)
    score = rng.beta(1, 6, (VIDEOS, SNIPPETS)).astype(np.float32)
    label = np.zeros((VIDEOS, SNIPPETS * 16), np.uint8)
    for video in range(140):
        start = rng.integers(0, SNIPPETS * 12)
        label[video, start : start + rng.integers(100, SNIPPETS * 4)] = 1
    frame_score = score.repeat(16, axis=1)
    smooth = frame_score + rng.normal(0, 0.01, frame_score.shape).astype(np.float32)

    def of_frames(scores: np.ndarray) -> Callable[[], float]:
        lengths = np.ones(label.shape[1], np.int64)
        curves = [_curve(video, scores[video], lengths, label[video]) for video in range(VIDEOS)]
        return lambda: evaluate(curves)["auc"]

    snippets = [
        _curve(video, score[video], np.full(SNIPPETS, 16), label[video].reshape(-1, 16).sum(1, dtype=np.int64))
        for video in range(VIDEOS)
    ]
    return [
        _row(
            "metrics, from snippets", repeats, lambda: evaluate(snippets)["auc"], lambda: _sklearn(frame_score, label)
        ),
        _row("metrics, from frames", repeats, of_frames(frame_score), lambda: _sklearn(frame_score, label)),
        _row("metrics, from frames that all differ", repeats, of_frames(smooth), lambda: _sklearn(smooth, label)),
    ]


def _curve(video: int, scores: np.ndarray, lengths: np.ndarray, positives: np.ndarray) -> Curve:
    return Curve(
        video=str(video), scores=scores, lengths=lengths, positives=positives, label=int(video < 140), category=""
    )


def _sklearn(score: np.ndarray, label: np.ndarray) -> float:
    constant = np.broadcast_to(score.mean(1, keepdims=True), score.shape)
    area = roc_auc_score(label.ravel(), score.ravel())
    precision, recall, _ = precision_recall_curve(label.ravel(), score.ravel())
    auc(recall, precision)
    average_precision_score(label.ravel(), score.ravel())
    roc_auc_score(label[:140].ravel(), score[:140].ravel())
    average_precision_score(label[:140].ravel(), score[:140].ravel())
    roc_auc_score(label.ravel(), constant.ravel())
    return float(area)


def _row(what: str, repeats: int, ours: Callable[[], float], other: Callable[[], float]) -> dict[str, str | float]:
    if abs(ours() - other()) > 1e-12:
        raise AssertionError(f"{what}: the two do not agree")
    seconds = [min(_seconds(run) for _ in range(repeats)) for run in (ours, other)]
    return {"what": what, "ours": seconds[0], "eager": seconds[1], "ratio": seconds[1] / seconds[0]}


def _seconds(run: Callable[[], float]) -> float:
    begin = time.process_time()
    run()
    return time.process_time() - begin


if __name__ == "__main__":
    for row in rows():
        print(row)
