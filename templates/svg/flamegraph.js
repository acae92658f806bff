"use strict";
(() => {
  const WIDTH = 1200, PAD = 10, CHARACTER = 12 * 0.59, INDENT = 3, FEWEST = 3;
  const script = document.currentScript;
  const svg = (script && script.ownerSVGElement) || document.documentElement;
  const find = (id) => svg.querySelector("#" + id);
  const details = find("details"), matched = find("matched");

  // In the order of drawing: callers before callees, left before right.
  const frames = Array.from(svg.querySelectorAll("#frames > g"), (group) => {
    const title = group.querySelector("title").textContent;
    const rect = group.querySelector("rect");
    const start = Number(group.dataset.s);
    return {
      group, rect, title, start,
      text: group.querySelector("text"),
      end: start + Number(group.dataset.w),
      y: Number(rect.getAttribute("y")),
      name: title.slice(0, title.lastIndexOf(" (")),
    };
  });
  if (!frames.length) return;
  const root = frames[0];

  function fit(name, width) {
    const room = Math.floor(width / CHARACTER);
    const characters = Array.from(name);
    if (room < FEWEST) return "";
    return characters.length <= room ? name : characters.slice(0, room - 2).join("") + "..";
  }

  // Both edges are rounded, and the width is what lies between: neighbours touch.
  function move(frame, from, to) {
    const left = Number(from.toFixed(1)), width = Number(to.toFixed(1)) - left;
    frame.rect.setAttribute("x", left.toFixed(1));
    frame.rect.setAttribute("width", width.toFixed(1));
    frame.text.setAttribute("x", (left + INDENT).toFixed(1));
    frame.text.textContent = fit(frame.name, width);
  }

  // Spread `target` over the whole width: its callers keep it company, the others go.
  function zoom(target) {
    const scale = (WIDTH - 2 * PAD) / (target.end - target.start);
    for (const frame of frames) {
      const isCaller = frame.y > target.y && frame.start <= target.start && frame.end >= target.end;
      const isInside = frame.y <= target.y && frame.start >= target.start && frame.end <= target.end;
      frame.group.classList.toggle("caller", isCaller);
      frame.group.classList.toggle("hidden", !isCaller && !isInside);
      if (isCaller) move(frame, PAD, WIDTH - PAD);
      if (isInside) {
        move(frame, PAD + (frame.start - target.start) * scale, PAD + (frame.end - target.start) * scale);
      }
    }
    svg.classList.toggle("zoomed", target !== root);
  }

  // Mark the frames whose names match, and say which share of all they cover together.
  function search(term) {
    let pattern = null;
    try {
      pattern = term ? new RegExp(term) : null;
    } catch (error) {
      matched.textContent = error.message;
      return;
    }
    let weight = 0, covered = 0;
    for (const frame of frames) {
      const isMatch = pattern !== null && pattern.test(frame.name);
      frame.group.classList.toggle("match", isMatch);
      // A frame inside one that is counted adds nothing.
      if (isMatch && frame.start >= covered) {
        weight += frame.end - frame.start;
        covered = frame.end;
      }
    }
    const share = (100 * weight) / (root.end - root.start);
    matched.textContent = pattern ? "Matched: " + share.toFixed(1) + "%" : "";
    find("search").textContent = pattern ? "Reset search" : "Search";
  }

  function askSearch() {
    if (svg.querySelector(".match") || matched.textContent) {
      search("");
      return;
    }
    const term = window.prompt("Functions to mark (regular expression):", "");
    if (term) search(term);
  }

  for (const frame of frames) {
    frame.group.addEventListener("click", () => zoom(frame));
    frame.group.addEventListener("mouseover", () => { details.textContent = frame.title; });
    frame.group.addEventListener("mouseout", () => { details.textContent = ""; });
  }
  find("unzoom").addEventListener("click", () => zoom(root));
  find("search").addEventListener("click", askSearch);
  window.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      zoom(root);
      search("");
    } else if (event.key === "f" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      askSearch();
    }
  });
  svg.classList.add("scripted");
})();
