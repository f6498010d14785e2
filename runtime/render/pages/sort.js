"use strict";
// A click on the title of a column of the layers sorts by it; another one the other way round.
const layersTable = document.querySelector("table.layers");

function sortBy(column, descending) {
  const body = layersTable.tBodies[0];
  const key = (row) => row.cells[column].dataset.v;
  const numeric = [...body.rows].every((row) => key(row) !== "" && !isNaN(key(row)));
  const order = numeric
    ? (a, b) => key(a) - key(b)
    : (a, b) => key(a).localeCompare(key(b), undefined, { numeric: true });
  body.append(...[...body.rows].sort((a, b) => (descending ? order(b, a) : order(a, b))));
}

for (const button of layersTable ? layersTable.querySelectorAll("thead button") : []) {
  button.addEventListener("click", () => {
    const head = button.parentElement;
    const descending = head.getAttribute("aria-sort") !== "descending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    sortBy(head.cellIndex, descending);
  });
}
