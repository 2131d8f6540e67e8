// Sort and filter tables, highlight the current section in the table of contents, and expand all sections before printing.
"use strict";

(() => {
  const LINE = 100; // distance from the top of the window in pixels

  const value = (row, column) => {
    const cell = row.cells[column];
    const number = cell.querySelector("data")?.value ?? cell.textContent.trim();
    const known = Number(number.replace(/inf$/, "Infinity"));
    return number === "" || Number.isNaN(known) ? number : known;
  };

  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b
      : typeof a === "number" ? -1 : typeof b === "number" ? 1 : a.localeCompare(b);

  function sortBy(table, head) {
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((a, b) => compare(value(a, head.cellIndex), value(b, head.cellIndex)));
    body.append(...(descending ? rows.reverse() : rows));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortBy(table, head));
      head.append(button);
    }
    if (table.tBodies[0].rows.length <= 12) continue;
    const label = document.createElement("label");
    label.className = "filter";
    label.append("Show rows with");
    const input = document.createElement("input");
    input.type = "search";
    input.setAttribute("aria-label", `Show rows with: ${table.caption.textContent}`);
    label.append(input);
    table.parentElement.before(label);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/);
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    });
  }

  // The current section is the last one whose heading is above a line near the top of the window. Near the end of the page,
  // where headings can no longer reach this line, the line moves down to the bottom of the window.
  const contents = document.querySelector("nav");
  const links = [...contents.querySelectorAll('a[href^="#"]')].slice(1); // The first link shows the run's name.
  const headings = links.map((link) => document.getElementById(link.hash.slice(1)));
  let current = null;

  function mark() {
    const below = document.documentElement.scrollHeight - innerHeight - scrollY;
    const line = Math.max(LINE, innerHeight - 3 * below);
    const passed = headings.filter((heading) => heading.getBoundingClientRect().top < line).length;
    const link = links[Math.max(0, passed - 1)];
    if (link === current) return;
    current?.removeAttribute("aria-current");
    current = link;
    current.setAttribute("aria-current", "true");
    contents.scrollTo({ left: current.offsetLeft - contents.clientWidth / 2, top: current.offsetTop - contents.clientHeight / 2 });
  }
  addEventListener("scroll", mark, { passive: true });
  addEventListener("resize", mark);
  mark();

  addEventListener("beforeprint", () => { for (const each of document.querySelectorAll("details")) each.open = true; });
})();
