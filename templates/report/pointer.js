// What pointers and keys do to a chart. `told` has what the page wants to know:
// zoomed(settled), picked(node), pointed(node, event), opened(node), moved(node).

const DRAG_PX = 4;
const KEY_ZOOM = 1.4;

function listen(chart, told) {
  const { canvas } = chart;
  let drag = null;

  const width = () => chart.view.right - chart.view.left;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  function zoom(factor, x) {
    const share = x / chart.width;
    const whole = chart.whole().right;
    const next = Math.max(width() * factor, Math.min(width(), whole / 1e6));
    const middle = chart.view.left + share * width();
    chart.look(middle - share * next, middle + (1 - share) * next);
    told.zoomed(false);
  }

  function pan(share) {
    chart.look(chart.view.left + share * width(), chart.view.right + share * width());
    told.zoomed(false);
  }

  function goTo(node) {
    chart.lookAt(node);
    chart.scrollTo(chart.tree.depth[node]);
    told.zoomed(true);
  }

  function point(node, event) {
    if (node !== chart.hover) {
      chart.hover = node;
      chart.changed();
    }
    told.pointed(node, event);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    drag = {
      x: event.clientX,
      y: event.clientY,
      left: chart.view.left,
      top: chart.element.scrollTop,
      moved: false,
    };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) {
      const { x, y } = at(event);
      point(chart.nodeAt(x, y), event);
      return;
    }
    const x = event.clientX - drag.x;
    const y = event.clientY - drag.y;
    if (!drag.moved && Math.hypot(x, y) < DRAG_PX) return;
    drag.moved = true;
    point(-1, event);
    canvas.classList.add("dragged");
    const left = drag.left - (x * width()) / chart.width;
    chart.look(left, left + width());
    if (event.pointerType === "mouse") chart.element.scrollTop = drag.top - y;
    told.zoomed(false);
  });
  canvas.addEventListener("pointerup", (event) => {
    const clicked = drag && !drag.moved;
    drag = null;
    canvas.classList.remove("dragged");
    const { x, y } = at(event);
    const node = clicked ? chart.nodeAt(x, y) : -1;
    if (node < 0) return;
    chart.cursor = node;
    goTo(node);
    told.picked(node);
  });
  canvas.addEventListener("pointercancel", () => {
    drag = null;
    canvas.classList.remove("dragged");
  });
  canvas.addEventListener("pointerleave", (event) => point(-1, event));
  canvas.addEventListener("dblclick", (event) => {
    const { x, y } = at(event);
    const node = chart.nodeAt(x, y);
    if (node > 0) told.opened(node);
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      point(-1, event);
      if (event.shiftKey) return; // the browser scrolls
      event.preventDefault();
      const unit = event.deltaMode === 1 ? 16 : 1;
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan((event.deltaX * unit) / chart.width);
      else zoom(Math.exp(Math.max(-300, Math.min(300, event.deltaY * unit)) * 0.002), at(event).x);
    },
    { passive: false },
  );
  canvas.addEventListener("focus", () => chart.changed());
  canvas.addEventListener("blur", () => chart.changed());

  // The frame beside, above or below the cursor; the widest where there are several.
  function neighbour(key) {
    const { tree, cursor } = chart;
    if (cursor < chart.hidden) return tree.length > chart.hidden ? chart.hidden : -1;
    const row = tree.rows[tree.depth[cursor]];
    const index = chart.after(row, tree.start[cursor], 0);
    if (key === "ArrowLeft") return row[index - 1] ?? -1;
    if (key === "ArrowRight") return row[index + 1] ?? -1;
    if (key === (chart.rising ? "ArrowDown" : "ArrowUp")) {
      return tree.depth[cursor] > chart.hidden ? tree.parent[cursor] : -1;
    }
    let widest = -1;
    for (let node = cursor + 1; node < tree.end[cursor]; node = tree.end[node]) {
      if (widest < 0 || tree.total[node] > tree.total[widest]) widest = node;
    }
    return widest;
  }

  const KEYS = {
    "+": () => zoom(1 / KEY_ZOOM, chart.width / 2),
    "=": () => zoom(1 / KEY_ZOOM, chart.width / 2),
    "-": () => zoom(KEY_ZOOM, chart.width / 2),
    a: () => pan(-0.2),
    d: () => pan(0.2),
    PageUp: () => {
      chart.element.scrollTop -= chart.height - ROW_PX;
    },
    PageDown: () => {
      chart.element.scrollTop += chart.height - ROW_PX;
    },
    Enter: () => {
      if (chart.cursor < 0) return;
      goTo(chart.cursor);
      told.picked(chart.cursor);
    },
  };

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = KEYS[event.key];
    if (act) {
      act();
    } else if (event.key.startsWith("Arrow")) {
      const node = neighbour(event.key);
      if (node >= 0) {
        chart.cursor = node;
        chart.scrollTo(chart.tree.depth[node]);
        chart.changed();
        told.moved(node);
      }
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });
}
