// A table whose rows are made once, and then put into the order that is wanted.

const collator = new Intl.Collator("en", { numeric: true }); // web-2 before web-10

class SortedTable {
  // A column has a name, a head, what rows are sorted by (`value`; null comes last) and
  // what is in a row's `cell`. Texts begin with the first (`isText`), numbers with the largest. A row is as `filled`, if that
  // gives cells. `told` has sorted(column), and toggled(item) where rows open a `detail`.
  constructor(element, columns, told) {
    this.columns = columns;
    this.told = told;
    this.body = element.querySelector("tbody");
    this.rows = new Map(); // by item
    this.items = [];
    this.opened = null;
    this.detail = null;
    this.active = null; // the row that Tab reaches
    this.heads = columns.map((column) => this.head(column));
    element.querySelector("thead tr").replaceChildren(...this.heads);
    if (!told.detail) return;
    this.body.addEventListener("click", (event) => this.click(event));
    this.body.addEventListener("keydown", (event) => this.press(event));
  }

  head({ name, head, hint, value }) {
    const cell = make("th", { scope: "col", "data-column": name, ...(hint ? { title: hint } : {}) });
    if (!value) {
      cell.textContent = head;
      return cell;
    }
    const button = make("button", { type: "button" }, head);
    button.addEventListener("click", () => this.told.sorted(name));
    cell.append(button);
    return cell;
  }

  // Shows items in their own order, or in that of a column; `up` turns it around. Only so many.
  show(items, { sort, up }, most = Infinity) {
    const column = this.columns.find(({ name, value }) => name === sort && value);
    this.items = (column ? sorted(items, column, up) : items).slice(0, most);
    this.heads.forEach((head, index) => {
      if (!this.columns[index].value) return;
      const direction = Boolean(this.columns[index].isText) !== up ? "ascending" : "descending";
      head.setAttribute("aria-sort", this.columns[index] === column ? direction : "none");
    });
    const rows = this.items.map((item) => this.row(item));
    this.body.replaceChildren(...rows);
    if (this.detail && this.items.includes(this.opened)) this.row(this.opened).after(this.detail);
    if (rows.length && this.told.detail && !rows.includes(this.active)) this.activate(rows[0]);
  }

  row(item) {
    let row = this.rows.get(item);
    if (row) return row;
    row = make("tr", item.differs ? { class: "differs" } : {});
    row.append(...(this.told.filled?.(item) ?? this.columns.map(({ cell }) => cell(item))));
    if (this.told.detail) reachable(row, -1);
    this.rows.set(item, row);
    return row;
  }

  // Opens the detail of one item, and closes that of another; of none with null.
  open(item) {
    if (item === this.opened) return;
    this.detail?.remove();
    this.expanded(false);
    this.opened = item;
    this.detail = null;
    if (!item) return;
    this.expanded(true);
    const cell = make("td", { colspan: this.columns.length });
    cell.append(...this.told.detail(item));
    this.detail = make("tr", { class: "detail" });
    this.detail.append(cell);
    if (this.row(item).isConnected) this.row(item).after(this.detail);
  }

  expanded(is) {
    if (!this.opened) return;
    this.row(this.opened).querySelector(".opener").setAttribute("aria-expanded", is);
  }

  // Tab reaches one row, and arrows go to the others.
  activate(row) {
    if (this.active) reachable(this.active, -1);
    this.active = row;
    reachable(row, 0);
  }

  itemOf(row) {
    return this.items.find((item) => this.rows.get(item) === row);
  }

  click(event) {
    const row = event.target.closest("tr");
    const item = this.itemOf(row);
    if (!item || event.target.closest("a") || !getSelection().isCollapsed) return;
    this.activate(row);
    this.told.toggled(item);
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const row = event.target;
    const at = this.items.findIndex((item) => this.rows.get(item) === row);
    if (at < 0) return;
    const last = this.items.length - 1;
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last };
    if (event.key === "Enter" || event.key === " ") this.told.toggled(this.items[at]);
    else if (event.key in moves) this.focus(Math.max(0, Math.min(last, moves[event.key])));
    else return;
    event.preventDefault();
  }

  focus(index) {
    const row = this.rows.get(this.items[index]);
    this.activate(row);
    row.focus();
  }
}

function reachable(row, tabIndex) {
  row.tabIndex = tabIndex;
  for (const link of row.querySelectorAll("a")) link.tabIndex = tabIndex;
}

function sorted(items, column, up) {
  const sign = Boolean(column.isText) !== up ? 1 : -1;
  const values = new Map(items.map((item) => [item, column.value(item)]));
  return [...items].sort((one, other) => {
    const [a, b] = [values.get(one), values.get(other)];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    return sign * (column.isText ? collator.compare(a, b) : a - b);
  });
}

// The head of a row that can be opened: a button, and the name.
function openerCell(item, label) {
  const cell = make("th", { scope: "row" });
  const button = make("button", {
    type: "button",
    class: "opener",
    tabindex: -1, // the row itself can be reached
    "aria-expanded": false,
    "aria-label": `Details of ${printable(item.name)}`,
  });
  cell.append(button, label);
  return cell;
}

function differsMark() {
  return make("strong", { class: "mark" }, "differs");
}
