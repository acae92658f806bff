// A tree on a canvas: only what can be seen is drawn, and only when something has changed.
//
// The canvas is as large as its window and stays in it, while the browser scrolls a spacer that is
// as high as the tree is deep. `view` is the part of the whole width that is shown, in weight.

const ROW_PX = 18;
const INDENT_PX = 4;
const NARROWEST_LABEL_PX = 22;

class Chart {
  // `rising`: the root is below, and what it calls above. `hideRoot` is for trees whose node 0
  // stands for nothing.
  constructor(element, { rising = false, hideRoot = false } = {}) {
    this.element = element;
    this.canvas = element.querySelector("canvas");
    this.spacer = element.querySelector(".spacer");
    this.context = this.canvas.getContext("2d");
    this.rising = rising;
    this.hidden = hideRoot ? 1 : 0;
    this.tree = null;
    this.keys = [];
    this.matches = null;
    this.selected = -1;
    this.hover = -1;
    this.cursor = -1;
    this.view = { left: 0, right: 1 };
    this.widths = new Map();
    this.fromRoot = 0; // pixels that are scrolled out below, where the root is
    this.steps = null; // of a comparison, the colour of each node, by place
    this.waiting = 0;
    new ResizeObserver(() => this.resize()).observe(element);
    element.addEventListener("scroll", () => {
      this.fromRoot = this.spacer.clientHeight - element.scrollTop - this.height;
      this.changed();
    });
  }

  show(tree, keys, rising = this.rising) {
    this.tree = tree;
    this.keys = keys;
    this.rising = rising;
    this.hover = -1;
    this.cursor = -1;
    this.view = this.whole();
    this.matchedRows = null;
    this.selectedRows = null;
    this.index = null;
    this.steps = changes.compared ? stepsOf(tree) : null;
    this.fromRoot = 0;
    this.resize();
    if (!rising) this.element.scrollTop = 0;
  }

  whole() {
    return { left: 0, right: this.tree.total[0] || 1 };
  }

  isZoomed() {
    const whole = this.whole();
    return this.view.left > whole.left || this.view.right < whole.right;
  }

  // Shows a part; it is kept inside the whole.
  look(left, right) {
    const whole = this.whole().right;
    const width = Math.min(right - left, whole);
    const from = Math.max(0, Math.min(left, whole - width));
    this.view = { left: from, right: from + width };
    this.changed();
  }

  lookAt(node) {
    const { start, total } = this.tree;
    this.look(start[node], start[node] + total[node]);
  }

  mark(matches, selected) {
    if (matches !== this.matches || !this.matchedRows) {
      this.matches = matches;
      this.matchedRows = matches ? rowsOf(this.tree, matchingNodes(this.tree, matches)) : [];
    }
    if (selected !== this.selected || !this.selectedRows) {
      this.selected = selected;
      if (selected >= 0) this.index ??= indexKeys(this.tree, this.keys);
      this.selectedRows = selected >= 0 ? rowsOf(this.tree, this.index(selected)) : [];
    }
    this.changed();
  }

  label(node) {
    return node === 0 ? "all" : this.keys[this.tree.key[node]].label;
  }

  resize() {
    if (!this.tree) return;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.element;
    this.width = width;
    this.height = height;
    this.spacer.style.height = `${Math.max(height, (this.tree.rows.length - this.hidden) * ROW_PX)}px`;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    // Where the root is below it stays there. By now the browser may have scrolled by itself.
    if (this.rising) this.element.scrollTop = this.spacer.clientHeight - this.fromRoot - height;
    this.changed();
  }

  changed() {
    if (!this.waiting) this.waiting = requestAnimationFrame(() => this.draw());
  }

  // The top of a row on the canvas.
  top(depth) {
    const row = depth - this.hidden;
    const { scrollTop } = this.element;
    return this.rising
      ? this.spacer.clientHeight - (row + 1) * ROW_PX - scrollTop
      : row * ROW_PX - scrollTop;
  }

  scrollTo(depth) {
    const top = this.top(depth);
    if (top < 0) this.element.scrollTop += top - ROW_PX;
    else if (top + ROW_PX > this.height) this.element.scrollTop += top + 2 * ROW_PX - this.height;
  }

  nodeAt(x, y) {
    if (!this.tree) return -1;
    const from = this.rising ? this.top(this.hidden) + ROW_PX - y : y - this.top(this.hidden);
    const row = this.tree.rows[Math.floor(from / ROW_PX) + this.hidden];
    if (from < 0 || !row || !row.length) return -1;
    const weight = this.view.left + (x * (this.view.right - this.view.left)) / this.width;
    const node = row[this.after(row, weight, 0)];
    return node !== undefined && this.tree.start[node] <= weight ? node : -1;
  }

  // The first of a row, from an index on, that ends behind a weight. It is looked for in steps
  // that double: it is seldom far.
  after(row, weight, from) {
    const { start, total } = this.tree;
    const isAfter = (index) => start[row[index]] + total[row[index]] > weight;
    let low = from;
    let step = 1;
    while (low + step < row.length && !isAfter(low + step)) {
      low += step;
      step *= 2;
    }
    let high = Math.min(low + step, row.length);
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isAfter(middle)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  colours() {
    const style = getComputedStyle(this.element);
    const value = (name) => style.getPropertyValue(name).trim();
    return {
      dark: value("--scheme") === "dark",
      text: value("--frame-text"),
      narrow: value("--narrow"),
      root: value("--root"),
      match: value("--match"),
      accent: value("--accent"),
      hover: value("--hover"),
      background: value("--background"),
    };
  }

  draw() {
    this.waiting = 0;
    if (!this.tree || !this.width) return;
    const ratio = window.devicePixelRatio || 1;
    const { context, tree } = this;
    this.palette = this.colours();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    const fill = this.palette.dark ? "dark" : "colour";
    const fills = this.steps ? changeFills(context, this.palette.dark) : null;
    for (let depth = this.hidden; depth < tree.rows.length; depth += 1) {
      const top = this.top(depth);
      if (top <= -ROW_PX || top >= this.height) continue;
      const { narrow, match, root } = this.palette;
      const colourOf = this.steps
        ? (node) => fills(this.steps[node])
        : (node) => (node ? this.keys[tree.key[node]][fill] : root);
      this.drawRow(tree.rows[depth], top, colourOf, narrow);
      if (this.matchedRows?.[depth]) this.drawRow(this.matchedRows[depth], top, () => match, match);
      if (this.selectedRows?.[depth]) this.outlineRow(this.selectedRows[depth], top);
    }
    if (this.hover >= 0) this.outline(this.hover, this.palette.hover, 1);
    if (this.cursor >= 0 && document.activeElement === this.canvas)
      this.outline(this.cursor, this.palette.accent, 2);
  }

  // Draws a row. Frames below a pixel are found by halves and drawn together.
  drawRow(row, top, colourOf, narrow) {
    const { start, total } = this.tree;
    const { left, right } = this.view;
    const scale = this.width / (right - left);
    let run = null;
    const flush = () => {
      if (!run) return;
      this.context.fillStyle = narrow;
      this.context.fillRect(run.from, top, Math.max(run.to - run.from, 0.5), ROW_PX - 1);
      run = null;
    };
    let index = this.after(row, left, 0);
    while (index < row.length) {
      const node = row[index];
      const x = (start[node] - left) * scale;
      if (x >= this.width) break;
      const end = x + total[node] * scale;
      if (end - x >= 1) {
        flush();
        this.drawFrame(node, x, end, top, colourOf(node));
        index += 1;
        continue;
      }
      const pixel = Math.floor(x) + 1;
      index = Math.max(this.after(row, left + pixel / scale, index), index + 1);
      const last = row[index - 1];
      const to = (start[last] + total[last] - left) * scale;
      if (run && x - run.to > 0.5) flush();
      run = { from: run ? run.from : x, to };
    }
    flush();
  }

  drawFrame(node, x, end, top, colour) {
    const { context } = this;
    const from = Math.max(x, 0);
    const to = Math.min(end, this.width);
    const gap = end - x > 3 ? 1 : 0;
    context.globalAlpha = x < -0.5 || end > this.width + 0.5 ? 0.6 : 1;
    context.fillStyle = colour;
    context.fillRect(from, top, to - from - gap, ROW_PX - 1);
    context.globalAlpha = 1;
    const room = to - from - 2 * INDENT_PX;
    if (room < NARROWEST_LABEL_PX) return;
    context.fillStyle = this.palette.text;
    const mark = this.steps ? changeMark(this.tree, node) : "";
    context.fillText(this.fit(mark + this.label(node), room), from + INDENT_PX, top + ROW_PX / 2);
  }

  fit(label, room) {
    const width = this.measure(label);
    if (width <= room) return label;
    let length = Math.floor((label.length * room) / width);
    let cut = `${label.slice(0, length)}…`;
    while (length > 0 && this.context.measureText(cut).width > room) {
      length -= 1;
      cut = `${label.slice(0, length)}…`;
    }
    return cut;
  }

  measure(label) {
    let width = this.widths.get(label);
    if (width === undefined) {
      width = this.context.measureText(label).width;
      this.widths.set(label, width);
    }
    return width;
  }

  outlineRow(row, top) {
    const { start, total } = this.tree;
    const { left, right } = this.view;
    const scale = this.width / (right - left);
    for (let index = this.after(row, left, 0); index < row.length;) {
      const node = row[index];
      const x = (start[node] - left) * scale;
      if (x >= this.width) break;
      this.box(x, x + total[node] * scale, top, this.palette.accent, 2);
      index = Math.max(this.after(row, left + (Math.floor(x) + 1) / scale, index), index + 1);
    }
  }

  outline(node, colour, thick) {
    const { start, total, depth } = this.tree;
    const scale = this.width / (this.view.right - this.view.left);
    const x = (start[node] - this.view.left) * scale;
    this.box(x, x + total[node] * scale, this.top(depth[node]), colour, thick);
  }

  box(x, end, top, colour, thick) {
    const from = Math.max(x, 0) + thick / 2;
    const width = Math.max(Math.min(end, this.width) - from - thick / 2, 1);
    this.context.strokeStyle = colour;
    this.context.lineWidth = thick;
    this.context.strokeRect(from, top + thick / 2, width, ROW_PX - 1 - thick);
  }
}
