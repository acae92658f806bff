// The table of functions. Of many thousand rows only those in its window are in the page.

const LINE_PX = 24;
const SPARE_LINES = 8;
const NO_FUNCTIONS = new Set(["process", "truncated"]);

class FunctionTable {
  // `told`: chosen(key), opened(key), sorted(column). Columns have a name, a head, an order of rows
  // and what is in a row's cell.
  constructor(element, columns, told) {
    this.element = element;
    this.columns = columns;
    this.body = element.querySelector("tbody");
    this.told = told;
    this.rows = [];
    this.drawn = {}; // which rows are in the page
    this.selected = -1;
    this.active = 0; // the row that Tab reaches
    this.printed = false;
    element.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(element);
    element.querySelector("thead tr").replaceChildren(
      ...columns.map(({ name, head, hint }) => {
        const cell = make("th", { scope: "col", ...(hint ? { title: hint } : {}) });
        const button = make("button", { type: "button", "data-column": name }, head);
        button.addEventListener("click", () => told.sorted(name));
        cell.append(button);
        return cell;
      }),
    );
    element.dataset.columns = columns.length;
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

  // The column that the rows are in the order of.
  column({ sort }) {
    return this.columns.find(({ name }) => name === sort) ?? this.columns[0];
  }

  arrange(state) {
    const { up, weighing } = state;
    const wanted = state.filter.toLowerCase();
    const sorted = this.column(state);
    this.rows = this.all.filter(
      ({ key }) => !wanted || this.keys[key].label.toLowerCase().includes(wanted),
    );
    if (profile.compared) {
      for (const row of this.rows)
        row.change = changeOf(row.key, weighing === "total" ? "total" : "own");
      this.rows = this.rows.filter(({ change }) => change.before || change.after);
    }
    // Equal ones are in the order of names.
    const order = (one, other) =>
      sorted.order(one, other) || compare(this.keys[one.key].label, this.keys[other.key].label);
    this.rows.sort(up ? (one, other) => order(other, one) : order);
    for (const button of this.element.querySelectorAll("th button")) {
      const isSorted = button.dataset.column === sorted.name;
      const direction = (sorted.name === "name") === up ? "descending" : "ascending";
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
    const row = make("tr", { "data-row": number, "aria-rowindex": number + 2 });
    row.append(...this.columns.map(({ cell }) => cell(this.rows[number], this)));
    return row;
  }
}

const NAME_COLUMN = {
  name: "name",
  head: "Function",
  order: () => 0,
  cell({ key, change }, { keys }) {
    const { label, kind, colour } = keys[key];
    const cell = make("td", { title: label });
    const swatch = make("span", { class: "swatch", "aria-hidden": "true", title: kind });
    swatch.style.background = colour;
    if (change) {
      const step = changes.step(change);
      swatch.style.background = changeColour(step, false);
      swatch.classList.toggle("hatched", step < 0);
    }
    cell.append(swatch, label);
    return cell;
  },
};

const SHARE_COLUMNS = [
  {
    name: "self",
    head: "Self",
    order: (one, other) => other.own - one.own || other.total - one.total,
    cell: ({ own }, { whole }) => shareCell(own, whole),
  },
  {
    name: "total",
    head: "Total",
    order: (one, other) => other.total - one.total || other.own - one.own,
    cell: ({ total }, { whole }) => shareCell(total, whole),
  },
  NAME_COLUMN,
];

function shareCell(weight, whole) {
  const cell = make("td", { title: weight.toLocaleString("en-US") }, percent(weight / whole));
  cell.style.setProperty("--share", `${(100 * weight) / whole}%`);
  return cell;
}

const isChange = ({ trend }) => Number(trend !== "noise" && trend !== "same");
const byFactor = ({ factor }) => (factor ? Math.abs(Math.log(factor)) : Infinity);

const CHANGE_COLUMNS = [
  {
    name: "change",
    head: "Change",
    hint: "after less before; what is no more than noise comes last",
    order: (one, other) =>
      isChange(other.change) - isChange(one.change) ||
      Math.abs(other.change.difference) - Math.abs(one.change.difference),
    cell: ({ change }) => {
      const mark = change.trend === "noise" ? "~ " : "";
      return make("td", { class: change.trend }, mark + changes.signed(change.difference));
    },
  },
  {
    name: "before",
    head: "Before",
    order: (one, other) => other.change.before - one.change.before,
    cell: ({ change }) => make("td", { title: number(change.before) }, changes.weight(change.before, 0)),
  },
  {
    name: "after",
    head: "After",
    order: (one, other) => other.change.after - one.change.after,
    cell: ({ change }) => make("td", { title: number(change.after) }, changes.weight(change.after, 1)),
  },
  {
    name: "factor",
    head: "Factor",
    hint: "after divided by before",
    order: (one, other) =>
      isChange(other.change) - isChange(one.change) ||
      byFactor(other.change) - byFactor(one.change) ||
      0,
    cell: ({ change }) => make("td", {}, changes.factor(change)),
  },
  {
    name: "noise",
    head: "Noise to",
    hint: "how far chance alone goes in this direction",
    order: (one, other) => Math.abs(other.change.noise) - Math.abs(one.change.noise),
    cell: ({ change }) => make("td", {}, changes.noise(change)),
  },
  NAME_COLUMN,
];

function spacerRow(lines) {
  const row = make("tr", { "aria-hidden": "true", class: "spacer" });
  row.style.height = `${lines * LINE_PX}px`;
  return row;
}
