// What is told of a function, and of a frame.

function figures(key) {
  if (profile.compared) {
    return [
      ["self", "own"],
      ["total", "total"],
    ].map(([name, what]) => `${name} ${changes.tell(changeOf(key, what))}`);
  }
  const whole = made.tree.total[0] || 1;
  const share = (weight) => `${percent(weight / whole)} (${number(weight)})`;
  return [origin(key), `self ${share(made.own[key])}`, `total ${share(made.total[key])}`];
}

// What became of a function: of what it is itself (own), or with all that it calls (total).
function changeOf(key, what) {
  const [before, after] = made.sides;
  return changes.of(before[what][key], after[what][key], profile.compared.functions);
}

function origin(key) {
  const { kind, modules } = made.keys[key];
  const some = [...modules].slice(0, 3).map(printable).join(", ");
  return [kind, some + (modules.size > 3 ? ", …" : "")].filter(Boolean).join(" · ");
}

function describe(chart, node) {
  const { tree } = chart;
  if (profile.compared) return describeChange(chart, node);
  const total = tree.total[node];
  const above = tree.parent[node];
  const lines = [
    `${number(total)} ${profile.unit}, ${percent(total / (made.tree.total[0] || 1))} of all`,
  ];
  if (above >= chart.hidden && above >= 0)
    lines.push(
      `${percent(total / (tree.total[above] || 1))} of the ${chart === callers ? "function below" : "caller"}`,
    );
  lines.push(
    `self ${number(tree.own[node])}, ${percent(tree.own[node] / (made.tree.total[0] || 1))} of all`,
  );
  if (chart === callers) lines.pop(); // the weight that ends in a caller is no self weight
  return { title: chart.label(node), origin: node ? origin(tree.key[node]) : "", lines };
}

function describeChange(chart, node) {
  const { tree } = chart;
  const [before, after] = tree.sides;
  const lines = [changes.tell(changeAt(tree, node))];
  if (!profile.compared.counts)
    lines.push(
      `${number(before.total[node])} and ${number(after.total[node])} ${profile.unit}`,
    );
  if (chart !== callers && (before.own[node] || after.own[node])) {
    const own = changes.of(before.own[node], after.own[node], profile.compared.frames);
    lines.push(`self ${changes.weight(own.before, 0)} → ${changes.weight(own.after, 1)}`);
  }
  return { title: chart.label(node), origin: node ? origin(tree.key[node]) : "", lines };
}

function point(chart, node, event) {
  const tip = find("tooltip");
  tip.hidden = node < 0;
  if (node < 0) return;
  const { title, origin: from, lines } = describe(chart, node);
  tip.replaceChildren(
    make("b", {}, title),
    ...[from, ...lines].filter(Boolean).map((line) => make("div", {}, line)),
  );
  const { offsetWidth: width, offsetHeight: height } = tip;
  const x = Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 4));
  const y =
    event.clientY + 18 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 18;
  tip.style.transform = `translate(${x}px, ${Math.max(4, y)}px)`;
}

function say(chart, node) {
  const { title, lines } = describe(chart, node);
  find("said").textContent = [title, ...lines].join(", ");
}
