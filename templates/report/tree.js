// The tree that is drawn: of the profile, as the view's options want it.
//
// A key is what is drawn as one: a function, or a function of a module, or at an offset.

function makeKeys(profile, options) {
  const { functions, frames, kinds } = profile;
  const keys = [];
  const known = new Map();
  const keyOf = new Int32Array(frames.function.length);
  for (let frame = 0; frame < keyOf.length; frame += 1) {
    const number = frames.function[frame];
    const module = profile.moduleOf(frame);
    const offset = options.offsets ? profile.offsetOf(frame) : -1;
    const identity = `${number} ${offset} ${options.modules ? module : ""}`;
    let key = known.get(identity);
    if (key === undefined) {
      key = keys.length;
      known.set(identity, key);
      const name = functions.name[number];
      const at = offset >= 0 ? `+${offset}` : "";
      const of = options.modules && module !== null ? ` ${inBrackets(module)}` : "";
      keys.push(
        makeKey(
          name + at + of,
          name,
          kinds[functions.kind[number]],
          `#${functions.colour.slice(6 * number, 6 * number + 6)}`,
        ),
      );
    }
    if (module !== null) keys[key].modules.add(module);
    keyOf[frame] = key;
  }
  return { keys, keyOf };
}

// Some names of modules have them already: [kernel], [vdso].
function inBrackets(module) {
  return /^\[.*\]$/.test(module) ? module : `[${module}]`;
}

function makeKey(label, name, kind, colour) {
  return {
    label: printable(label) || "[unknown]",
    name,
    kind,
    colour,
    dark: darker(colour),
    modules: new Set(),
  };
}

function darker(colour) {
  const parts = [1, 3, 5].map((at) => Math.round(parseInt(colour.slice(at, at + 2), 16) * 0.52));
  return `rgb(${parts.join(" ")})`;
}

// Nodes by their caller and key, in the order in which they are asked for.
class Grower {
  constructor(most, sides) {
    this.parent = new Int32Array(most + 1);
    this.key = new Int32Array(most + 1);
    this.own = new Float64Array(most + 1);
    this.sides = sides.map(() => ({ own: new Float64Array(most + 1) }));
    this.length = 1;
    this.parent[0] = -1;
    this.key[0] = -1;
    let size = 16;
    while (size < 2 * (most + 1)) size *= 2;
    this.slots = new Int32Array(size);
  }

  // Adds what a node of another tree weighs: `what` is own or total.
  add(node, tree, from, what) {
    this.own[node] += tree[what][from];
    for (let side = 0; side < this.sides.length; side += 1)
      this.sides[side].own[node] += tree.sides[side][what][from];
  }

  child(parent, key) {
    const mask = this.slots.length - 1;
    let hash = Math.imul(parent, 0x9e3779b1) ^ Math.imul(key + 1, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    let slot = (hash ^ (hash >>> 13)) & mask;
    for (;;) {
      const node = this.slots[slot];
      if (!node) break;
      if (this.parent[node] === parent && this.key[node] === key) return node;
      slot = (slot + 1) & mask;
    }
    const node = this.length++;
    this.slots[slot] = node;
    this.parent[node] = parent;
    this.key[node] = key;
    return node;
  }
}

function growTree(profile, keys, keyOf, options) {
  const { frame, parent, own, sides } = profile.tree;
  const count = frame.length;
  if (
    options.group === "name" &&
    options.kernel &&
    !options.collapse &&
    keys.length === keyOf.length
  ) {
    // Each frame has a key of its own, and none is left out: the tree is that of the profile.
    return {
      parent,
      key: frame.map((number) => (number < 0 ? -1 : keyOf[number])),
      own,
      sides,
      length: count,
    };
  }
  // A node makes one more at most; a root may make its group's too.
  const tree = new Grower(count + profile.roots.size, sides);
  const groups = options.group === "name" ? null : new Groups(profile, keys, options.group);
  const place = new Int32Array(count); // where a node of the profile is in the tree
  tree.add(0, profile.tree, 0, "own");
  for (let node = 1; node < count; node += 1) {
    const from = parent[node];
    const number = frame[node];
    let at = place[from];
    const group = groups ? groups.keyOf(node) : -2;
    if (group >= 0) {
      at = tree.child(0, group);
    } else if (group === -2 && (options.kernel || !profile.isKernel[number])) {
      const key = keyOf[number];
      if (!options.collapse || tree.key[at] !== key) at = tree.child(at, key);
    }
    place[node] = at;
    tree.add(at, profile.tree, node, "own");
  }
  return tree;
}

// Gives each node its place, and numbers them anew in the order of drawing: callers before callees,
// left before right. What a node calls is then all that stands from it to its `end`.
//
// `heavyFirst` puts the heaviest to the left and a node's own weight to the right; else the order is
// that of the names, with the own weight first, as flamegraph.pl draws it.
function layOut(tree, heavyFirst) {
  const { parent, key, own, sides, length } = tree;
  const total = addUp(tree, own);
  const sideTotals = sides.map((side) => addUp(tree, side.own));
  const [first, called] = sortedCallees(
    tree,
    (one, other) => (heavyFirst && total[other] - total[one]) || key[one] - key[other],
  );
  const out = {
    length: 0,
    parent: new Int32Array(length),
    key: new Int32Array(length),
    own: new Float64Array(length),
    total: new Float64Array(length),
    start: new Float64Array(length),
    depth: new Int32Array(length),
    end: new Int32Array(length),
    sides: sides.map(() => ({ own: new Float64Array(length), total: new Float64Array(length) })),
  };
  const cursor = new Float64Array(length);
  const place = new Int32Array(length);
  const waiting = [0];
  while (waiting.length) {
    const node = waiting.pop();
    const at = out.length++;
    const above = node ? place[parent[node]] : -1;
    place[node] = at;
    out.parent[at] = above;
    out.key[at] = key[node];
    out.own[at] = own[node];
    out.total[at] = total[node];
    for (let side = 0; side < sides.length; side += 1) {
      out.sides[side].own[at] = sides[side].own[node];
      out.sides[side].total[at] = sideTotals[side][node];
    }
    if (node) {
      out.depth[at] = out.depth[above] + 1;
      out.start[at] = cursor[above];
      cursor[above] += total[node];
    }
    cursor[at] = out.start[at] + (heavyFirst ? 0 : own[node]);
    for (let i = first[node + 1] - 1; i >= first[node]; i -= 1) {
      if (total[called[i]]) waiting.push(called[i]);
    }
  }
  for (let at = out.length - 1; at >= 0; at -= 1) {
    out.end[at] = Math.max(out.end[at], at + 1);
    if (at) out.end[out.parent[at]] = Math.max(out.end[out.parent[at]], out.end[at]);
  }
  out.rows = rowsOf(
    out,
    Int32Array.from(out.end.subarray(0, out.length), (_, node) => node),
  );
  return out;
}

function addUp({ parent, length }, own) {
  const total = own.slice(0, length);
  for (let node = length - 1; node > 0; node -= 1) total[parent[node]] += total[node];
  return total;
}

// Returns what gives the nodes of a key, in the order of drawing.
function indexKeys(tree, keys) {
  const first = new Int32Array(keys.length + 1);
  for (let node = 1; node < tree.length; node += 1) first[tree.key[node] + 1] += 1;
  for (let key = 0; key < keys.length; key += 1) first[key + 1] += first[key];
  const next = first.slice();
  const nodes = new Int32Array(tree.length - 1);
  for (let node = 1; node < tree.length; node += 1) nodes[next[tree.key[node]]++] = node;
  return (key) => nodes.subarray(first[key], first[key + 1]);
}

// What each node calls, sorted: `called` from `first[node]` to `first[node + 1]`.
function sortedCallees({ parent, length }, compare) {
  const first = new Int32Array(length + 1);
  const called = new Int32Array(length);
  for (let node = 1; node < length; node += 1) first[parent[node] + 1] += 1;
  for (let node = 0; node < length; node += 1) first[node + 1] += first[node];
  const next = first.slice();
  for (let node = 1; node < length; node += 1) called[next[parent[node]]++] = node;
  for (let node = 0; node < length; node += 1) {
    for (let i = first[node] + 1; i < first[node + 1]; i += 1) {
      if (compare(called[i - 1], called[i]) > 0) {
        called.subarray(first[node], first[node + 1]).sort(compare);
        break;
      }
    }
  }
  return [first, called];
}

// Nodes, given in the order of drawing, by their depth and from left to right.
function rowsOf({ depth }, nodes) {
  const counts = [];
  for (const node of nodes) {
    while (counts.length <= depth[node]) counts.push(0);
    counts[depth[node]] += 1;
  }
  const rows = counts.map((count) => new Int32Array(count));
  counts.fill(0);
  for (const node of nodes) rows[depth[node]][counts[depth[node]]++] = node;
  return rows;
}

function matchingNodes(tree, matches) {
  let count = 0;
  for (let node = 1; node < tree.length; node += 1) count += matches[tree.key[node]];
  const nodes = new Int32Array(count);
  for (let node = tree.length - 1; node > 0; node -= 1)
    if (matches[tree.key[node]]) nodes[--count] = node;
  return nodes;
}

// Self and total weight of each key. A function that calls itself counts once in a stack. The
// weights of the nodes are those of the tree, or of one of its sides.
function weighKeys(tree, keys, weights = tree) {
  const own = new Float64Array(keys.length);
  const total = new Float64Array(keys.length);
  const active = new Int32Array(keys.length);
  const path = [];
  for (let node = 1; node < tree.length; node += 1) {
    while (path.length >= tree.depth[node]) active[path.pop()] -= 1;
    const key = tree.key[node];
    own[key] += weights.own[node];
    if (!active[key]) total[key] += weights.total[node];
    active[key] += 1;
    path.push(key);
  }
  return { own, total };
}

// The weight of the stacks in which one of the keys occurs: once a stack.
function weighMatches(tree, matches, weights = tree) {
  let weight = 0;
  for (let node = 0; node < tree.length;) {
    if (node && matches[tree.key[node]]) {
      weight += weights.total[node];
      node = tree.end[node];
    } else {
      node += 1;
    }
  }
  return weight;
}
