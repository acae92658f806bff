"use strict";
(() => {
  // As in the renderer: pixels.
  const PAD = 10, FRAME = 16, GAP = 1, INDENT = 3, NARROWEST_TEXT = 21;
  const BUTTONS = 170, SEARCH = 390, NARROW = 900;
  const SVG = "http://www.w3.org/2000/svg", HTML = "http://www.w3.org/1999/xhtml";

  const script = document.currentScript;
  const svg = (script && script.ownerSVGElement) || document.documentElement;
  const list = svg.querySelector("#frames"), details = svg.querySelector("#details");
  const WIDTH = svg.viewBox.baseVal.width;
  const top = Number(list.dataset.top), floor = Number(list.dataset.floor);
  // Of a comparison: what each frame weighs before and after. Of a single profile there is none.
  const sides = list.dataset.sides ? list.dataset.sides.split(" ").map(Number) : null;
  const MARKS = { new: "++ ", grew: "+ ", shrank: "\u2212 ", gone: "\u2212\u2212 " };
  const isAlone = svg === document.documentElement && window.parent === window;
  if (!list.firstElementChild) return;

  // In the order of drawing: callers before callees, left before right. So what a frame calls, and
  // what that calls, stands behind it without a gap, up to `last`.
  const frames = [], byGroup = new Map();
  function readFrames() {
    const numbers = list.dataset.weights.split(" ").map(Number);
    const callers = [];
    let at = 0, start = 0;
    for (let group = list.firstElementChild; group; group = group.nextElementSibling) {
      start += numbers[at];
      const end = start + numbers[at + 1];
      while (callers.length && callers[callers.length - 1].end <= start) {
        callers.pop().last = frames.length - 1;
      }
      const frame = {
        group, start, end, own: numbers[at + 2], depth: callers.length, name: null, summary: null,
        number: frames.length, last: 0, caller: callers[callers.length - 1] || null,
        rect: group.children[1], text: group.children[2] || null, inverted: initially,
        laidOutFor: callers[0] || null,
      };
      group.setAttribute("role", "treeitem");
      group.setAttribute("aria-level", frame.depth + 1);
      frame.laidOutFor = frame.laidOutFor || frame; // the root
      frames.push(frame);
      byGroup.set(group, frame);
      callers.push(frame);
      at += 3;
    }
    for (const caller of callers) caller.last = frames.length - 1;
  }
  const initially = list.dataset.shape === "icicle";
  readFrames();
  const root = frames[0];
  let inverted = initially, zoomed = root, current = root, callersShown = [], matches = [];

  // What the renderer wrote is read when it is needed: there can be tens of thousands.
  function nameOf(frame) {
    if (frame.name === null) {
      frame.summary = frame.group.firstElementChild.textContent;
      frame.name = frame.summary.slice(0, frame.summary.lastIndexOf(" ("));
    }
    return frame.name;
  }

  function labelOf(frame) {
    const mark = sides && frame !== root ? MARKS[frame.group.classList.item(0)] : "";
    return (mark || "") + nameOf(frame);
  }

  const percent = (part, whole) => ((100 * part) / whole).toFixed(2) + "%";

  function describe(frame) {
    nameOf(frame);
    if (sides) return [frame.summary];
    const kind = frame.group.classList.item(0);
    const isKind = kind && kind !== "match" && kind !== "caller";
    const parts = isKind && frame !== root ? [kind] : [];
    if (frame.caller) {
      const share = percent(frame.end - frame.start, frame.caller.end - frame.caller.start);
      parts.push(share + " of its caller " + nameOf(frame.caller));
    }
    const own = frame.own.toLocaleString("en") + " " + list.dataset.unit;
    parts.push("self " + own + ", " + percent(frame.own, root.end - root.start));
    return [frame.summary, parts.join("; ")];
  }

  // The tooltip and the line below the picture.
  function tell(frame) {
    const lines = frame ? describe(frame) : [];
    details.textContent = lines.join("; ");
    if (frame) frame.group.firstElementChild.textContent = lines.join("\n");
  }

  // Measured in the font that is really there, a character at a time.
  const ruler = document.createElementNS(HTML, "canvas").getContext("2d"), widths = new Map();
  ruler.font = getComputedStyle(details).font;
  function widthOf(character) {
    let width = widths.get(character);
    if (width === undefined) widths.set(character, (width = ruler.measureText(character).width));
    return width;
  }

  function fit(name, width) {
    let used = 0, whole = 0, at = 0;
    const beforeDots = width - 2 * widthOf(".");
    for (const character of name) {
      used += widthOf(character);
      at += character.length;
      if (used <= beforeDots) whole = at;
      else if (used > width) return whole ? name.slice(0, whole) + ".." : "";
    }
    return name;
  }

  // Lay a frame out as part of the picture where `target` has the whole width. It is laid out so
  // already where it was not seen since.
  function move(frame, target, scale) {
    if (frame.inverted !== inverted) turn(frame);
    if (frame.laidOutFor === target) return;
    frame.laidOutFor = target;
    const from = Math.max(PAD, PAD + (frame.start - target.start) * scale);
    const to = Math.min(WIDTH - PAD, PAD + (frame.end - target.start) * scale);
    // Both edges are rounded, and the width is what lies between: neighbours touch.
    const left = from.toFixed(1);
    frame.rect.setAttribute("x", left);
    frame.rect.setAttribute("width", (to.toFixed(1) - left).toFixed(1));
    const label = to - from < NARROWEST_TEXT ? "" : fit(labelOf(frame), to - from - 2 * INDENT);
    if (label && !frame.text) {
      frame.text = frame.group.appendChild(document.createElementNS(SVG, "text"));
      frame.text.setAttribute("y", Number(frame.rect.getAttribute("y")) + 10.5);
    } else if (!label && frame.text) {
      frame.text.remove();
      frame.text = null;
    }
    if (label) {
      frame.text.setAttribute("x", (Number(left) + INDENT).toFixed(1));
      frame.text.textContent = label;
    }
  }

  function turn(frame) {
    const y = inverted ? top + frame.depth * FRAME : floor - (frame.depth + 1) * FRAME + GAP;
    frame.inverted = inverted;
    frame.rect.setAttribute("y", y);
    if (frame.text) frame.text.setAttribute("y", y + 10.5);
  }

  // Spread `target` over the whole width: its callers keep it company, the others are taken out.
  function zoom(target) {
    const hadFocus = document.activeElement === current.group;
    for (const frame of callersShown) frame.group.classList.remove("caller");
    callersShown = [];
    for (let frame = target.caller; frame; frame = frame.caller) callersShown.unshift(frame);
    const scale = (WIDTH - 2 * PAD) / (target.end - target.start);
    const shown = document.createDocumentFragment();
    list.replaceChildren();
    for (const frame of callersShown) {
      frame.group.classList.add("caller");
      move(frame, target, scale);
      shown.append(frame.group);
    }
    for (let number = target.number; number <= target.last; number++) {
      const frame = frames[number];
      move(frame, target, scale);
      shown.append(frame.group);
    }
    list.append(shown);
    zoomed = target;
    reset.hidden = target === root;
    if (!current.group.isConnected) setCurrent(target);
    if (hadFocus) current.group.focus({ preventScroll: true });
  }

  // Mark the frames whose names match, and say which share of all they cover together.
  function search(term, ignoreCase) {
    for (const frame of matches) frame.group.classList.remove("match");
    matches = [];
    matched.value = matched.title = "";
    if (!term) return;
    let pattern;
    try {
      pattern = new RegExp(term, ignoreCase ? "i" : "");
    } catch (error) {
      matched.value = "not a regex";
      matched.title = error.message;
      return;
    }
    const known = new Map();
    const whole = root.end - root.start;
    let weight = 0, before = 0, after = 0, covered = 0;
    for (const frame of frames) {
      if (frame === root) continue; // no function
      const name = nameOf(frame);
      let isMatch = known.get(name);
      if (isMatch === undefined) known.set(name, (isMatch = pattern.test(name)));
      if (!isMatch) continue;
      matches.push(frame);
      frame.group.classList.add("match");
      // A frame inside one that is counted adds nothing.
      if (frame.start >= covered) {
        weight += frame.end - frame.start;
        if (sides) {
          before += sides[2 * frame.number];
          after += sides[2 * frame.number + 1];
        }
        covered = frame.end;
      }
    }
    const share = (part, all) => ((100 * part) / all).toFixed(1) + "%";
    const shares = sides
      ? share(before, sides[0]) + " \u2192 " + share(after, sides[1])
      : share(weight, whole);
    matched.value = isNarrow || sides ? shares : "Matched: " + shares;
  }

  // One frame can be reached by Tab; arrows go on from there.
  function setCurrent(frame) {
    current.group.removeAttribute("tabindex");
    frame.group.setAttribute("tabindex", "0");
    current = frame;
  }

  const isShown = (frame) => frame && frame.group.isConnected;

  function callees(frame) {
    const found = [];
    for (let number = frame.number + 1; number <= frame.last; number = frames[number].last + 1) {
      if (isShown(frames[number])) found.push(frames[number]);
    }
    return found;
  }

  function neighbour(frame, key) {
    if (key === "Home") return root;
    if (key === (inverted ? "ArrowUp" : "ArrowDown")) return frame.caller;
    if (key === (inverted ? "ArrowDown" : "ArrowUp")) {
      // The widest: that is where the time goes.
      const width = (each) => each.end - each.start;
      return callees(frame).reduce(
        (widest, each) => (widest && width(widest) >= width(each) ? widest : each), null,
      );
    }
    const siblings = frame.caller ? callees(frame.caller) : [];
    const place = siblings.indexOf(frame);
    return siblings[place + (key === "ArrowLeft" ? -1 : 1)] || null;
  }

  function make(parent, tag, properties) {
    return parent.appendChild(Object.assign(document.createElementNS(HTML, tag), properties));
  }

  function controls(x, width, className) {
    const place = document.createElementNS(SVG, "foreignObject");
    const box = { x, y: 6, width, height: 26 };
    for (const name of Object.keys(box)) place.setAttribute(name, box[name]);
    svg.append(place);
    return make(place, "div", { className });
  }

  const isNarrow = WIDTH < NARROW;
  const row = WIDTH - 2 * PAD, buttons = Math.min(BUTTONS, Math.max(0.4 * row, 105));
  const left = controls(PAD, buttons, "controls");
  const searchWidth = Math.min(SEARCH, row - buttons);
  const right = controls(WIDTH - PAD - searchWidth, searchWidth, "controls end");
  const shape = make(left, "button", { type: "button" });
  function nameShape() {
    shape.textContent = inverted ? "Flame" : "Icicle";
    shape.title = inverted ? "Draw callers below" : "Draw callers above";
  }
  nameShape();
  const reset = make(left, "button", {
    type: "button", textContent: isNarrow ? "Reset" : "Reset zoom", hidden: true,
  });
  const matched = make(right, "output", { htmlFor: "search" });
  const field = make(right, "input", {
    id: "search", type: "search", placeholder: "Search (regex)", spellcheck: false,
    autocomplete: "off",
  });
  field.setAttribute("aria-label", "Mark functions: regular expression");
  const label = make(right, "label", { title: "Ignore case" });
  const ignoreCase = make(label, "input", { type: "checkbox", id: "ignorecase" });
  make(label, "span", { textContent: isNarrow ? "ic" : "ignore case" });

  shape.addEventListener("click", () => {
    inverted = !inverted;
    nameShape();
    zoom(zoomed);
  });
  reset.addEventListener("click", () => zoom(root));
  field.addEventListener("input", () => search(field.value, ignoreCase.checked));
  ignoreCase.addEventListener("change", () => search(field.value, ignoreCase.checked));

  // Listened for at the window: an element of SVG that hears of focus could be focused itself.
  function frameAt(event) {
    const group = event.target.closest && event.target.closest("#frames > g");
    return group && byGroup.get(group);
  }
  for (const kind of ["mouseover", "mouseout", "focusin", "focusout"]) {
    const isIn = kind.endsWith("over") || kind.endsWith("in");
    window.addEventListener(kind, (event) => {
      const frame = frameAt(event);
      if (frame) tell(isIn ? frame : null);
    });
  }
  list.addEventListener("click", (event) => {
    const frame = frameAt(event);
    if (!frame) return;
    setCurrent(frame);
    frame.group.focus({ preventScroll: true });
    zoom(frame);
  });
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") {
      zoom(current);
    } else if (event.key.startsWith("Arrow") || event.key === "Home") {
      const next = neighbour(current, event.key);
      if (isShown(next)) {
        setCurrent(next);
        next.group.focus();
      }
    } else {
      return;
    }
    event.preventDefault();
  });
  window.addEventListener("keydown", (event) => {
    const isFind = event.key === "f" && (event.ctrlKey || event.metaKey);
    if (event.key === "Escape") {
      field.value = "";
      search("", false);
      if (zoomed !== root) zoom(root);
    } else if (isFind && isAlone && document.activeElement !== field) {
      event.preventDefault(); // pressed again, it is the browser's own
      field.focus();
      field.select();
    }
  });

  list.setAttribute("role", "tree");
  list.setAttribute(
    "aria-label",
    "Frames: arrow keys go to caller, callees and neighbours, Enter zooms, Escape resets",
  );
  setCurrent(root);
  // Alone in a window it takes the window's width, within what keeps texts legible.
  if (isAlone) {
    Object.assign(svg.style, {
      display: "block", width: "100%", height: "auto", margin: "0 auto",
      minWidth: 0.75 * WIDTH + "px", maxWidth: 1.5 * WIDTH + "px",
    });
  }
})();
