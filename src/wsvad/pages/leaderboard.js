"use strict";
// A press on a column's head sorts by it, another press turns the order; what is not known stays last.
const body = document.querySelector("tbody");
const heads = [...document.querySelectorAll("thead th")];
const collator = new Intl.Collator("en", { numeric: true });

function valueOf(row, column) {
  const cell = row.cells[column];
  if (!cell.classList.contains("number")) return cell.textContent.trim();
  return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
}

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (typeof a === "number" ? a - b : collator.compare(a, b));
}

function sort(column) {
  const head = heads[column], button = head.querySelector("button"), turned = { ascending: "descending", descending: "ascending" };
  const order = turned[head.getAttribute("aria-sort")] ?? button.dataset.first;
  for (const other of heads) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
  rows.sort((a, b) => compare(a[0], b[0], sign));
  body.append(...rows.map((pair) => pair[1]));
  document.getElementById("said").textContent = `sorted by ${button.textContent}, ${order}`;
}

heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(column)));
