// The two halves of a sandwich: who calls a function, and what it calls.
//
// Of a function that calls itself the outermost call counts, so that each stack is in both halves
// once, and their roots weigh what the table says.

function outermost(tree, key) {
  const found = [];
  for (let node = 1; node < tree.length;) {
    if (tree.key[node] === key) {
      found.push(node);
      node = tree.end[node];
    } else {
      node += 1;
    }
  }
  return found;
}

function growCallers(tree, key) {
  const found = outermost(tree, key);
  const callers = new Grower(1 + found.reduce((sum, node) => sum + tree.depth[node], 0), tree.sides);
  const root = callers.child(0, key);
  for (const node of found) {
    let at = root;
    for (let above = tree.parent[node]; above > 0; above = tree.parent[above]) {
      at = callers.child(at, tree.key[above]);
    }
    callers.add(at, tree, node, "total");
  }
  return callers;
}

function growCallees(tree, key) {
  const found = outermost(tree, key);
  const callees = new Grower(1 + found.reduce((sum, node) => sum + tree.end[node] - node, 0), tree.sides);
  const place = new Int32Array(tree.length);
  for (const root of found) {
    for (let node = root; node < tree.end[root]; node += 1) {
      place[node] = callees.child(node === root ? 0 : place[tree.parent[node]], tree.key[node]);
      callees.add(place[node], tree, node, "own");
    }
  }
  return callees;
}
