"use strict";
(() => {
  const table = document.getElementById("relations-table");
  if (table) {
    const body = table.tBodies[0];
    const tools = document.getElementById("relations-tools");
    const [text, fate, shown] = ["filter-text", "filter-fate", "filter-shown"].map((id) => document.getElementById(id));
    const rows = Array.from(body.rows);
    const value = (row, column) => {
      const cell = row.cells[column];
      return "sort" in cell.dataset ? Number(cell.dataset.sort) : cell.textContent.trim();
    };
    const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
    const sort = (header, column) => {
      const down = header.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th[aria-sort]").forEach((each) => each.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((a, b) => (down ? -1 : 1) * compare(value(a, column), value(b, column)));
      body.append(...rows);
    };
    const filter = () => {
      const wanted = text.value.trim().toLowerCase();
      let count = 0;
      for (const row of rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted) || (fate.value !== "" && row.dataset.fate !== fate.value);
        count += row.hidden ? 0 : 1;
      }
      shown.textContent = `${count} of ${rows.length} shown`;
    };
    Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sort(header, column));
      header.append(button);
    });
    tools.addEventListener("submit", (event) => event.preventDefault());
    text.addEventListener("input", filter);
    fate.addEventListener("change", filter);
    tools.hidden = false;
    filter();
  }
  const opened = new Set();
  addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((each) => {
    opened.add(each);
    each.open = true;
  }));
  addEventListener("afterprint", () => {
    opened.forEach((each) => { each.open = false; });
    opened.clear();
  });
})();
