// What the page says of the state, of frames, and of the run.

const GROUP_NAMES = {
  name: "by name",
  process: "by process",
  thread: "by thread",
  host: "by host",
  none: "together",
};

function showControls() {
  press("views", state.view);
  press("orders", state.order);
  press("weighings", state.weighing);
  find("orders").hidden = state.view !== "graph";
  for (const name of ["kernel", "modules", "offsets", "collapse"]) find(name).checked = state[name];
  find("group").value = state.group;
  for (const name of ["search", "filter"])
    if (find(name).value !== state[name]) find(name).value = state[name];
  for (const tab of find("panels").children) {
    const isOpen = tab.dataset.value === state.panel;
    tab.setAttribute("aria-selected", isOpen);
    tab.tabIndex = isOpen ? 0 : -1;
    find(tab.dataset.value).hidden = !isOpen;
  }
  showReset();
}

function press(group, value) {
  for (const button of find(group).children)
    button.setAttribute("aria-pressed", button.dataset.value === value);
}

function showReset() {
  find("reset").disabled = !shown().some((chart) => chart.isZoomed());
}

function showChosen() {
  const key = made.selected;
  const isNone = key < 0 || !made.total[key];
  find("copy").disabled = find("open").disabled = isNone;
  find("chosen-name").textContent = isNone
    ? state.kind
      ? `${printable(state.name)} is not in this view`
      : "No function is chosen"
    : made.keys[key].label;
  find("chosen-name").title = isNone ? "" : made.keys[key].label;
  const told = isNone ? "click a frame or a row" : figures(key).join(" · ");
  find("chosen-figures").textContent = told;
  find("chosen-figures").title = told;
  find("open").hidden = state.view === "sandwich";
}

function showRun() {
  document.title = `${printable(profile.title) || "profile"} · flame graph`;
  find("quality").dataset.grade = profile.grade;
  find("quality").firstElementChild.textContent = profile.grade;
  find("quality").lastElementChild.textContent = printable(
    profile.reason + (profile.remedy ? `. Next step: ${profile.remedy}` : ""),
  );
  const list = (id, pairs) =>
    find(id).replaceChildren(
      ...pairs.flatMap(([name, value]) => [
        make("dt", {}, printable(name)),
        make("dd", {}, printable(value)),
      ]),
    );
  list("figures", profile.figures);
  list("facts", profile.facts);
  find("facts-known").hidden = !profile.facts.length;
  find("problems-found").hidden = !profile.problems.length;
  find("problems").replaceChildren(
    ...profile.problems.map(([severity, what, evidence, fix]) => {
      const item = make("li", { class: severity });
      item.append(make("b", {}, severity), make("span", {}, printable(what)));
      if (evidence) item.append(make("div", { class: "evidence" }, printable(evidence)));
      if (fix) item.append(make("div", {}, `→ ${printable(fix)}`));
      return item;
    }),
  );
  find("kinds-known").hidden = Boolean(profile.compared);
  if (profile.compared) showSides();
  const kinds = new Map(made.keys.map(({ kind, colour }) => [kind, colour]));
  find("legend").replaceChildren(
    ...profile.kinds
      .filter((kind) => kinds.has(kind))
      .map((kind) => {
        const item = make("li");
        const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
        swatch.style.background = kinds.get(kind);
        item.append(swatch, kind);
        return item;
      }),
  );
  // What the profile does not have is not offered.
  const offer = (id, has) => {
    find(id).closest("label").hidden = !has;
  };
  offer("kernel", profile.isKernel.some(Boolean));
  offer("modules", Boolean(profile.frames.module));
  offer("offsets", Boolean(profile.frames.offset));
  offer("group", groups.length > 1);
  find("group").replaceChildren(
    ...groups.map((group) => make("option", { value: group }, GROUP_NAMES[group])),
  );
  find("group").value = state.group;
  if (!made.tree.total[0])
    find("graph").append(
      make("p", { class: "empty" }, `There are no ${profile.unit} in this profile.`),
    );
}

function showSides() {
  find("subtitle").replaceChildren(
    ...profile.compared.lines.map((line) => make("span", {}, printable(line))),
  );
  const { factors } = profile.compared;
  const last = factors.length + 1;
  const words = new Map([
    [-last, "\u2212 less after: half, \u2212\u2212 gone"],
    [-1, "less"],
    [0, "same, or noise"],
    [1, "more"],
    [last, "+ more after: twice, ++ new"],
  ]);
  factors.slice(0, -1).forEach((factor, index) => {
    words.set(index + 2, `x${factor}`).set(-index - 2, `1/${factor}`);
  });
  const items = [...words].sort(([one], [other]) => one - other);
  find("steps").hidden = find("weighings").hidden = false;
  find("steps").replaceChildren(
    ...items.map(([step, word]) => {
      const item = make("li");
      const swatch = make("span", {
        class: step < 0 ? "swatch hatched" : "swatch",
        "aria-hidden": "true",
      });
      swatch.style.backgroundColor = changeColour(step, false);
      item.append(swatch, word);
      return item;
    }),
  );
}
