"use strict";

// A click on a head sorts: figures by their first number, those without one last.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => head.firstChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = table.tBodies[0];
    const key = (row) => row.cells[place].textContent;
    const compare = head.className === "figure"
      ? (a, b) => {
          const [x, y] = [parseFloat(key(a)), parseFloat(key(b))];
          if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
          return up ? x - y : y - x;
        }
      : (a, b) => (up ? 1 : -1) * key(a).localeCompare(key(b), undefined, { numeric: true });
    body.append(...[...body.rows].sort(compare));
  }));
}

document.getElementById("save").addEventListener("click", () => {
  const link = document.createElement("a");
  const text = document.getElementById("data").textContent;
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "edgesr-bench.json";
  link.click();
  URL.revokeObjectURL(link.href);
});
