// Marks what a pattern matches, and says how much that is.

function search() {
  made.matches = null;
  const field = find("search");
  const told = find("matched");
  let pattern;
  try {
    pattern = state.search ? new RegExp(state.search) : null;
  } catch (error) {
    told.textContent = error.message.replace(/^.*: /s, ""); // the pattern stands beside it
    told.className = "bad";
    field.setAttribute("aria-invalid", "true");
    return;
  }
  told.className = "";
  field.removeAttribute("aria-invalid");
  told.textContent = "";
  if (!pattern) return;
  made.matches = Uint8Array.from(made.keys, ({ label }) => Number(pattern.test(label)));
  const found = made.matches.reduce(
    (sum, match, key) => sum + (match && made.total[key] ? 1 : 0),
    0,
  );
  const { tree, matches } = made;
  const of = (weights) => weighMatches(tree, matches, weights);
  const share = (weights) => percent(of(weights) / (weights.total[0] || 1));
  const all = tree.sides.length ? tree.sides : [tree];
  told.textContent = `${count(found, "match", "matches")}, ${all.map(share).join(" → ")}`;
  told.title = `${all.map((weights) => number(of(weights))).join(" → ")} ${profile.unit}`;
}
