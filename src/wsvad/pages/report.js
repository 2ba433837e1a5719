"use strict";

const list = document.getElementById("videos");
const cards = [...list.querySelectorAll("article")];

const clock = (seconds) => {
  const tenths = Math.max(0, Math.round(seconds * 10));
  const s = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  const minutes = Math.floor(tenths / 600);
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${s}` : `${minutes}:${s}`;
};

/* A video gets its source when it comes near the window: three hundred of them must not load at once. */
function ready(card) {
  const video = card.querySelector("video");
  if (!video || video.src) return video;
  const copy = document.getElementById(`copy-${card.id}`);
  if (copy) {
    const bytes = Uint8Array.from(atob(copy.textContent.trim()), (c) => c.charCodeAt(0));
    video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
    video.preload = "metadata";
  } else {
    video.src = video.dataset.original;
    video.addEventListener("error", () => {
      card.querySelector(".lost").hidden = false;
    });
  }
  return video;
}

function seek(card, seconds, play) {
  const video = ready(card);
  mark(card, seconds);
  if (!video) return;
  video.currentTime = seconds;
  if (!play) return;
  for (const other of document.querySelectorAll("video")) if (other !== video) other.pause();
  video.play().catch(() => {}); /* a browser may refuse to play by itself; the picture still stands at the event */
}

/* The curve: the score of the snippet under a time, the playhead, the cursor. */
function curve(card) {
  card.curve ??= JSON.parse(card.dataset.curve);
  return card.curve;
}

function scoreAt(card, seconds) {
  const { times, scores } = curve(card);
  let low = 0;
  let high = scores.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] <= seconds) low = middle;
    else high = middle;
  }
  return scores[low];
}

function place(card, seconds) {
  const { times } = curve(card);
  const share = (seconds - times[0]) / (times[times.length - 1] - times[0] || 1);
  return Math.min(1, Math.max(0, share));
}

function mark(card, seconds) {
  const plot = card.querySelector(".plot");
  const head = plot.querySelector(".playhead");
  head.hidden = false;
  head.style.left = `${100 * place(card, seconds)}%`;
  plot.setAttribute("aria-valuenow", seconds.toFixed(1));
  plot.setAttribute("aria-valuetext", `${clock(seconds)}, score ${scoreAt(card, seconds).toFixed(2)}`);
  const link = card.querySelector("a.original");
  if (link) link.hash = `t=${seconds.toFixed(1)}`;
}

function timeUnder(card, event) {
  const box = card.querySelector(".plot").getBoundingClientRect();
  const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  const { times } = curve(card);
  return times[0] + share * (times[times.length - 1] - times[0]);
}

function hover(card, event) {
  const plot = card.querySelector(".plot");
  const seconds = timeUnder(card, event);
  const share = place(card, seconds);
  const cursor = plot.querySelector(".cursor");
  const readout = plot.querySelector(".readout");
  cursor.hidden = readout.hidden = false;
  cursor.style.left = `${100 * share}%`;
  readout.textContent = `${clock(seconds)}   score ${scoreAt(card, seconds).toFixed(2)}`;
  readout.style.left = share < 0.5 ? `calc(${100 * share}% + 8px)` : "auto";
  readout.style.right = share < 0.5 ? "auto" : `calc(${100 * (1 - share)}% + 8px)`;
}

for (const card of cards) {
  const plot = card.querySelector(".plot");
  const video = card.querySelector("video");
  let dragging = false;
  plot.addEventListener("pointerdown", (event) => {
    dragging = true;
    plot.setPointerCapture(event.pointerId);
    hover(card, event);
    seek(card, timeUnder(card, event));
  });
  plot.addEventListener("pointermove", (event) => {
    hover(card, event);
    if (dragging) seek(card, timeUnder(card, event));
  });
  for (const end of ["pointerup", "pointercancel"]) plot.addEventListener(end, () => (dragging = false));
  plot.addEventListener("pointerleave", () => {
    for (const part of plot.querySelectorAll(".cursor, .readout")) part.hidden = true;
  });
  plot.addEventListener("keydown", (event) => {
    const { times } = curve(card);
    const [first, last] = [times[0], times[times.length - 1]];
    const now = Number(plot.getAttribute("aria-valuenow"));
    const step = (last - first) / 100;
    const to = { ArrowLeft: now - step, ArrowRight: now + step, Home: first, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    seek(card, Math.min(last, Math.max(first, to)));
  });
  for (const button of card.querySelectorAll(".events button")) {
    button.addEventListener("click", () => choose(button, true));
  }
  video?.addEventListener("timeupdate", () => mark(card, video.currentTime));
}

const near = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) if (entry.isIntersecting) ready(entry.target);
  },
  { rootMargin: "300px" },
);
for (const card of cards) near.observe(card);

/* The table of figures is open where there is room for it. */
const figures = document.getElementById("figures");
if (figures && matchMedia("(min-width: 761px)").matches) figures.open = true;

/* Events across the page: one is chosen at a time. */
let chosen = null;

function choose(button, play) {
  if (chosen) chosen.removeAttribute("aria-current");
  chosen = button;
  button.setAttribute("aria-current", "true");
  seek(button.closest("article"), Number(button.dataset.start), play);
}

function step(by) {
  const buttons = [...list.querySelectorAll("article:not([hidden]) .events button")];
  if (!buttons.length) return;
  const at = buttons.indexOf(chosen);
  const next = at < 0 ? (by > 0 ? 0 : buttons.length - 1) : (at + by + buttons.length) % buttons.length;
  const button = buttons[next];
  choose(button, true);
  button.closest("article").scrollIntoView({ block: "start" });
  button.scrollIntoView({ block: "nearest" });
  button.focus({ preventScroll: true });
}

document.getElementById("next")?.addEventListener("click", () => step(1));
document.getElementById("previous")?.addEventListener("click", () => step(-1));

/* Sorting and filtering. */
const search = document.getElementById("search");
const sort = document.getElementById("sort");
const show = document.getElementById("show");
const day = document.getElementById("day");
const camera = document.getElementById("camera");

const orders = {
  suspicious: (a, b) => a.dataset.rank - b.dataset.rank,
  name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true }),
  newest: (a, b) => (b.dataset.began ?? -1) - (a.dataset.began ?? -1) || orders.name(a, b),
  wrong: (a, b) => b.dataset.wrong - a.dataset.wrong || a.dataset.rank - b.dataset.rank,
};

function arrange() {
  const words = search.value.trim().toLowerCase();
  let shown = 0;
  for (const card of [...cards].sort(orders[sort.value])) {
    const kept = { all: true, events: card.dataset.events > 0, wrong: card.dataset.wrong > 0 }[show.value];
    const then = !day?.value || (card.dataset.days ?? "").split(" ").includes(day.value);
    const there = !camera?.value || card.dataset.camera === camera.value;
    card.hidden = !(kept && then && there && card.dataset.name.toLowerCase().includes(words));
    if (card.hidden) card.querySelector("video")?.pause();
    shown += !card.hidden;
    list.append(card);
  }
  document.getElementById("count").textContent = `${shown} of ${cards.length} videos`;
  document.getElementById("none").hidden = shown > 0;
}

if (search) {
  for (const control of [search, sort, show, day, camera]) control?.addEventListener("input", arrange);
  document.getElementById("reset").addEventListener("click", () => {
    search.value = "";
    show.value = "all";
    for (const control of [day, camera]) if (control) control.value = "";
    arrange();
  });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
  if (event.key === "n" || event.key === "p") step(event.key === "n" ? 1 : -1);
  else if (event.key === "/" && search) search.focus();
  else return;
  event.preventDefault();
});
