// The table of functions. Of many thousand rows only those in its window are in the page.

const LINE_PX = 24;
const SPARE_LINES = 8;
const NO_FUNCTIONS = new Set(["process", "truncated"]);

class FunctionTable {
  // `told`: chosen(key), opened(key), sorted(column).
  constructor(element, told) {
    this.element = element;
    this.body = element.querySelector("tbody");
    this.told = told;
    this.rows = [];
    this.drawn = {}; // which rows are in the page
    this.selected = -1;
    this.active = 0; // the row that Tab reaches
    this.printed = false;
    element.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(element);
    for (const button of element.querySelectorAll("th button")) {
      button.addEventListener("click", () => told.sorted(button.dataset.column));
    }
    const rowOf = (event) => event.target.closest("tr[data-row]");
    this.body.addEventListener("click", (event) => {
      const row = rowOf(event);
      if (row) this.choose(Number(row.dataset.row));
    });
    this.body.addEventListener("dblclick", (event) => {
      const row = rowOf(event);
      if (row) told.opened(this.rows[row.dataset.row].key);
    });
    this.body.addEventListener("keydown", (event) => this.press(event));
  }

  show({ keys, own, total }, whole) {
    this.keys = keys;
    this.whole = whole;
    this.all = [];
    keys.forEach(({ kind }, key) => {
      if (total[key] && !NO_FUNCTIONS.has(kind))
        this.all.push({ key, own: own[key], total: total[key] });
    });
  }

  // Sorts by self, total or name; ties are broken as in the summary of a run.
  arrange({ sort, up, filter }) {
    const wanted = filter.toLowerCase();
    const byName = (one, other) => compare(this.keys[one.key].label, this.keys[other.key].label);
    const orders = {
      self: (one, other) => other.own - one.own || other.total - one.total || byName(one, other),
      total: (one, other) => other.total - one.total || other.own - one.own || byName(one, other),
      name: byName,
    };
    const order = orders[sort];
    this.rows = this.all.filter(
      ({ key }) => !wanted || this.keys[key].label.toLowerCase().includes(wanted),
    );
    this.rows.sort(up ? (one, other) => order(other, one) : order);
    for (const button of this.element.querySelectorAll("th button")) {
      const direction = (button.dataset.column === "name") === up ? "descending" : "ascending";
      const isSorted = button.dataset.column === sort;
      button.closest("th").setAttribute("aria-sort", isSorted ? direction : "none");
    }
    this.active = 0;
    this.element.querySelector("table").setAttribute("aria-rowcount", this.rows.length + 1);
    this.draw();
  }

  mark(matches, selected) {
    const isNew = selected !== this.selected;
    this.matches = matches;
    this.selected = selected;
    const row = this.rows.findIndex(({ key }) => key === selected);
    if (row >= 0) this.active = row;
    if (isNew && row >= 0) this.reveal(row);
    this.draw();
  }

  reveal(row) {
    const head = this.element.querySelector("thead").offsetHeight;
    const top = row * LINE_PX;
    const room = this.element.clientHeight - head - LINE_PX;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top > this.element.scrollTop + room) this.element.scrollTop = top - room / 2;
  }

  choose(row) {
    this.active = row;
    this.told.chosen(this.rows[row].key);
    this.reveal(row);
    this.draw();
    this.body.querySelector(`tr[data-row="${row}"]`)?.focus({ preventScroll: true });
  }

  press(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / LINE_PX) - 2);
    const moves = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    };
    if (event.key in moves) {
      this.choose(Math.max(0, Math.min(this.rows.length - 1, this.active + moves[event.key])));
    } else if (event.key === "Enter") {
      this.told.opened(this.rows[this.active].key);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  draw() {
    if (!this.keys) return;
    const first = this.printed
      ? 0
      : Math.max(0, Math.floor(this.element.scrollTop / LINE_PX) - SPARE_LINES);
    const fitting = Math.ceil(this.element.clientHeight / LINE_PX) + 2 * SPARE_LINES;
    const last = Math.min(this.rows.length, this.printed ? 40 : first + fitting);
    // Rows that are there stay: a second click has to find the row of the first.
    if (first !== this.drawn.first || last !== this.drawn.last || this.rows !== this.drawn.rows) {
      const focused = document.activeElement?.dataset?.row;
      const rows = [];
      for (let row = first; row < last; row += 1) rows.push(this.row(row));
      const below = this.printed ? 0 : this.rows.length - last;
      this.body.replaceChildren(spacerRow(first), ...rows, spacerRow(below));
      this.drawn = { first, last, rows: this.rows };
      if (focused !== undefined)
        this.body.querySelector(`tr[data-row="${focused}"]`)?.focus({ preventScroll: true });
    }
    for (const row of this.body.querySelectorAll("tr[data-row]")) {
      const number = Number(row.dataset.row);
      const { key } = this.rows[number];
      row.tabIndex = number === this.active ? 0 : -1;
      row.setAttribute("aria-selected", key === this.selected);
      row.classList.toggle("match", Boolean(this.matches?.[key]));
    }
  }

  row(number) {
    const { key, own, total } = this.rows[number];
    const { label, kind, colour } = this.keys[key];
    const row = make("tr", { "data-row": number, "aria-rowindex": number + 2 });
    const name = make("td", { title: label });
    const swatch = make("span", { class: "swatch", "aria-hidden": "true", title: kind });
    swatch.style.background = colour;
    name.append(swatch, label);
    row.append(this.share(own), this.share(total), name);
    return row;
  }

  share(weight) {
    const cell = make("td", { title: weight.toLocaleString("en-US") });
    cell.style.setProperty("--share", `${(100 * weight) / this.whole}%`);
    cell.textContent = percent(weight / this.whole);
    return cell;
  }
}

function compare(one, other) {
  return one < other ? -1 : Number(one > other);
}

function spacerRow(lines) {
  const row = make("tr", { "aria-hidden": "true", class: "spacer" });
  row.style.height = `${lines * LINE_PX}px`;
  return row;
}

function make(tag, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

function percent(share) {
  return `${(100 * share).toFixed(2)}%`;
}
