"""Actors before a backdrop → pictures as a cheap surveillance camera gives them, and the exact truth behind them."""

from collections.abc import Iterator

import cv2
import numpy as np

from wsvad.datasets.toy.backdrop import Backdrop
from wsvad.datasets.toy.camera import HEIGHT, WIDTH
from wsvad.datasets.toy.shapes import CLASSES, Actor, Part
from wsvad.datasets.toy.story import Story

SHIFT = 4
"""Fraction bits of OpenCV's coordinates."""
TRUTH_WIDTH, TRUTH_HEIGHT = WIDTH // 2, HEIGHT // 2


class _Brush:
    """One part with its coordinates in OpenCV's fixed point, at twice the picture's size."""

    def __init__(self, part: Part, kind: str):
        self.kind, self.colour, self.shown, self.opacity = part.kind, part.colour, part.shown, part.opacity
        limit = 8 * WIDTH
        fixed = np.rint(np.clip(part.points, -limit, limit) * (2 << SHIFT))
        self.points = np.ascontiguousarray(fixed, dtype=np.int32)
        self.size = None if part.size is None else np.clip(part.size, 0, limit)
        self.class_index, self.velocity = float(CLASSES.index(kind)), part.velocity()

    def draw(self, canvas: np.ndarray, frame: int, colour: tuple[float, ...], halvings: int = 0) -> None:
        """Draw on a canvas of twice the picture's size, or of that halved so many times."""
        if self.shown is not None and not self.shown[frame]:
            return
        points = self.points[frame] >> halvings if halvings else self.points[frame]
        if self.kind == "polygon":
            cv2.fillConvexPoly(canvas, points, colour, cv2.LINE_8, SHIFT)
            return
        assert self.size is not None
        size = 2 * float(self.size[frame]) / (1 << halvings)
        if self.kind == "line":
            cv2.polylines(canvas, [points], False, colour, max(1, round(size)), cv2.LINE_8, SHIFT)
        else:
            cv2.circle(canvas, points[0].tolist(), max(1, int(size * (1 << SHIFT))), colour, -1, cv2.LINE_8, SHIFT)


class Renderer:
    """Draws a story frame by frame."""

    def __init__(self, story: Story, backdrop: Backdrop):
        self.story, self.backdrop = story, backdrop
        self.actors: list[Actor] = story.actors
        self.brushes = [[_Brush(part, actor.kind) for part in actor.parts] for actor in self.actors]
        self.shadows = [[_Brush(part, actor.kind) for part in actor.shadow] for actor in self.actors]
        depth, shown = np.stack([a.depth for a in self.actors]), np.stack([a.shown for a in self.actors])
        order = np.argsort(-depth, axis=0, kind="stable")
        self.order = [
            [index for index in column if shown[index, frame]] for frame, column in enumerate(order.T.tolist())
        ]
        self.glows = [
            [brush for part, brush in zip(actor.parts, brushes, strict=True) if part.glow]
            for actor, brushes in zip(self.actors, self.brushes, strict=True)
        ]
        self.rng = np.random.default_rng(story.texture)
        tint = np.array([0.80, 0.92, 1.12], dtype=np.float32) * np.float32(0.36)
        self.night = tint + backdrop.lamplight[..., None] * np.array([0.98, 0.84, 0.62], dtype=np.float32)
        self.dark = (backdrop.colour * np.array([0.52, 0.55, 0.62])).astype(np.uint8)
        self.grain = self._grain()
        self.static = np.zeros((TRUTH_HEIGHT, TRUTH_WIDTH, 4), dtype=np.float32)
        self.static[..., 0] = backdrop.classes[::4, ::4]
        self.static[..., 1] = backdrop.depth[::4, ::4]
        self.puff = _puff(self.rng)
        self.sheets = self.rng.integers(len(self.grain), size=story.frames).tolist()

    # ---------------------------------------------------------------------------------- pictures

    def frames(self) -> Iterator[np.ndarray]:
        """F pictures `(HEIGHT, WIDTH, 3)` uint8 RGB."""
        for frame in range(self.story.frames):
            yield self.picture(frame)

    def picture(self, frame: int) -> np.ndarray:
        """One of them; the same whenever it is asked for."""
        return self._develop(self._draw(frame), frame)

    def _draw(self, frame: int) -> np.ndarray:
        """The scene in daylight, without what is soft or shines."""
        canvas, present = self.backdrop.colour.copy(), self.order[frame]
        if any(self.shadows[index] for index in present):
            mask = np.zeros(canvas.shape[:2], dtype=np.uint8)
            for index in present:
                for brush in self.shadows[index]:
                    brush.draw(mask, frame, (255,))
            cv2.copyTo(self.dark, mask, canvas)
        for index in present:
            for brush in self.brushes[index]:
                if brush.kind != "puff":
                    brush.draw(canvas, frame, brush.colour)
        return cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)

    def _develop(self, picture: np.ndarray, frame: int) -> np.ndarray:
        """Smoke, light, exposure, rain, sensor noise and the date."""
        story, present = self.story, self.order[frame]
        soft = [(brush, brush in self.glows[i]) for i in present for brush in self.brushes[i] if brush.kind == "puff"]
        for brush, glow in soft:
            if not glow:
                self._blend(picture, brush, frame)
        if story.night:
            picture = cv2.multiply(picture, self._light(frame), dtype=cv2.CV_8U)
            for index in present:
                for brush in self.glows[index]:
                    if brush.kind != "puff":
                        brush.draw(picture, frame, brush.colour, halvings=1)
        for brush, glow in soft:
            if glow:
                self._blend(picture, brush, frame)
        picture = cv2.convertScaleAbs(picture, alpha=float(story.gain[frame]))
        picture = cv2.add(picture, self.grain[self.sheets[frame]], dtype=cv2.CV_8U)
        if story.stamp:
            text = story.stamp_at(frame)
            for place, colour in (((7, 15), (16, 16, 16)), ((6, 14), (240, 240, 240))):
                cv2.putText(picture, text, place, cv2.FONT_HERSHEY_PLAIN, 0.75, colour, 1, cv2.LINE_AA)
        return picture

    def _light(self, frame: int) -> np.ndarray:
        """`(HEIGHT, WIDTH, 3)` float32: how bright each place is at night, with the cars' headlights."""
        light = self.night
        beams = [beam[frame] for index in self.order[frame] for beam in self.actors[index].beams]
        if beams:
            glare = np.zeros(light.shape[:2], dtype=np.float32)
            for beam in beams:
                cv2.fillConvexPoly(glare, np.rint(np.clip(beam, -2000, 2000) * 4).astype(np.int32), 0.75, cv2.LINE_8, 4)
            light = light + cv2.GaussianBlur(glare, (0, 0), 1.4)[..., None] * np.float32(0.8)
        return cv2.resize(light, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)

    def _blend(self, picture: np.ndarray, brush: _Brush, frame: int) -> None:
        """Lay a soft cloud over the picture."""
        assert brush.size is not None and brush.opacity is not None
        opacity, radius = float(brush.opacity[frame]), int(brush.size[frame])
        if opacity < 0.02 or radius < 1:
            return
        x, y = (brush.points[frame, 0] >> (SHIFT + 1)).tolist()
        left, top = max(0, x - radius), max(0, y - radius)
        right, bottom = min(WIDTH, x + radius), min(HEIGHT, y + radius)
        if left >= right or top >= bottom:
            return
        cloud = cv2.resize(self.puff, (2 * radius, 2 * radius), interpolation=cv2.INTER_LINEAR)
        alpha = cloud[top - y + radius : bottom - y + radius, left - x + radius : right - x + radius, None] * opacity
        region = picture[top:bottom, left:right]
        region[:] = region + (np.array(brush.colour, dtype=np.float32) - region) * alpha

    def _grain(self) -> list[np.ndarray]:
        """Sheets of sensor noise, with rain on them if it rains; one is added to each frame."""
        sheets = []
        for _ in range(10):
            noise = self.rng.standard_normal((HEIGHT, WIDTH, 1)) + 0.35 * self.rng.standard_normal((HEIGHT, WIDTH, 3))
            sheet = np.rint(noise * self.story.noise).astype(np.int16)
            if self.story.rain:
                drops = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
                start = self.rng.integers([0, -20], [WIDTH, HEIGHT], size=(70, 2))
                length = self.rng.integers(8, 18, size=(70, 1)) * np.array([[-0.2, 1.0]])
                for line in np.stack([start, start + length], axis=1).astype(np.int32):
                    cv2.polylines(drops, [line], False, 34, 1, cv2.LINE_AA)
                sheet += drops[..., None]
            sheets.append(sheet)
        return sheets

    # ---------------------------------------------------------------------------------- truth

    def truth(self, frame: int) -> np.ndarray:
        """`(TRUTH_HEIGHT, TRUTH_WIDTH, 4)` float32: class, depth in metres, and motion to the next frame in pixels of
        the picture (x, y)."""
        canvas = self.static.copy()
        for index in self.order[frame]:
            depth = float(self.actors[index].depth[frame])
            for brush in self.brushes[index]:
                if brush.opacity is not None and brush.opacity[frame] < 0.25:
                    continue
                velocity = brush.velocity[frame]
                value = (brush.class_index, depth, float(velocity[0]), float(velocity[1]))
                brush.draw(canvas, frame, value, halvings=2)
        return canvas


def _puff(rng: np.random.Generator) -> np.ndarray:
    """`(64, 64)` float32, 0 to 1: opaque and billowy in the middle, nothing at the rim."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    noise = cv2.GaussianBlur(rng.standard_normal((64, 64)), (0, 0), 5) * 5
    return np.clip(1.25 * (1 - np.hypot(x, y) * (1 + 0.28 * noise)), 0, 1).astype(np.float32)
