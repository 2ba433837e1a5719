"use strict";
// Under the cursor: what the nearest threshold of the curve does.
for (const charts of document.querySelectorAll(".charts")) {
  const readings = JSON.parse(charts.dataset.readings), readout = charts.querySelector(".readout");
  for (const plot of charts.querySelectorAll(".plot")) {
    plot.addEventListener("pointermove", (event) => {
      const box = plot.getBoundingClientRect(), x = 1000 * (event.clientX - box.left) / box.width;
      const near = readings.reduce((best, one) => Math.abs(one[0] - x) < Math.abs(best[0] - x) ? one : best);
      readout.textContent = near[1];
      readout.hidden = false;
    });
    plot.addEventListener("pointerleave", () => { readout.hidden = true; });
  }
}
