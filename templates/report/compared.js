// What became of a weight, between the two sides of a comparison. See profile/diff.py and
// profile/noise.py of remote_prof for what it means; nothing here knows statistics, the bounds stand
// in the page.

const MARKS = { new: "++", grew: "+", shrank: "\u2212", gone: "\u2212\u2212" };

class Changes {
  // `compared` is the page's, or null where there is one profile alone.
  constructor(compared) {
    this.compared = compared;
    const [before, after] = compared?.totals ?? [1, 1];
    this.divisors = compared?.counts ? [1, 1] : [before, after];
    this.wholes = [before, after];
  }

  // `bounds` are those of the frames of the graph, or of the functions.
  of(before, after, bounds) {
    const difference = this.difference(before, after);
    const [perBefore, perAfter] = this.divisors;
    const excess = after * perBefore - before * perAfter;
    const factor = before ? (after * perBefore) / (before * perAfter) : null;
    let trend = "same";
    if (excess > 0) trend = before ? "grew" : "new";
    else if (excess < 0) trend = after ? "shrank" : "gone";
    const together = before + after;
    let noise = null;
    if (bounds) {
      const [fewest, most] = likely(bounds, together);
      const reached = excess < 0 ? fewest : most;
      noise = this.difference(together - reached, reached);
      if (trend !== "same" && fewest <= after && after <= most) trend = "noise";
    }
    return { before, after, difference, factor, trend, noise };
  }

  difference(before, after) {
    const [perBefore, perAfter] = this.divisors;
    return after / perAfter - before / perBefore;
  }

  // The place of a colour: 0 is none, then what grew, and below 0 what shrank.
  step({ trend, factor, difference }) {
    if (trend === "same" || trend === "noise") return 0;
    const { factors } = this.compared;
    const by = factor ? Math.max(factor, 1 / factor) : Infinity;
    const step = 1 + factors.filter((least) => by >= least).length;
    return difference > 0 ? step : -step;
  }

  weight(weight, side) {
    return this.compared.counts ? number(weight) : percent(weight / this.wholes[side]);
  }

  signed(difference) {
    return this.compared.counts ? signed(difference, 0) : signed(100 * difference, 2);
  }

  // Noise or not: what is on one side alone has no factor.
  factor({ before, after, factor }) {
    if (!before) return after ? "new" : "";
    return after ? `x${factor.toFixed(2)}` : "gone";
  }

  noise({ noise }) {
    return noise === null ? "unknown" : this.signed(noise);
  }

  // In one line: both weights, and what became of them.
  tell(change) {
    const { before, after, trend } = change;
    const weights = `${this.weight(before, 0)} → ${this.weight(after, 1)}`;
    if (trend === "same") return `${weights}, the same`;
    const unit = this.compared.counts ? "" : " points";
    const what = `${weights}, ${this.signed(change.difference)}${unit}, ${this.factor(change)}`;
    if (change.noise === null) return what;
    return `${what}, ${trend === "noise" ? "no more than noise:" : "noise to"} ${this.noise(change)}`;
  }
}

function signed(value, digits) {
  const text = Math.abs(value).toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return (value < 0 ? "\u2212" : "+") + text;
}

// The fewest and the most of so many that chance puts after. Small numbers all have a row of their
// own; what lies between two rows is as uncertain as the line between them, rounded outwards.
function likely(bounds, together) {
  let low = 0;
  let high = bounds.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bounds[middle][0] < together) low = middle + 1;
    else high = middle;
  }
  const [above, fewest, most] = bounds[low];
  if (above === together || !low) return [fewest, most];
  const [below, fewestBelow, mostBelow] = bounds[low - 1];
  const share = (together - below) / (above - below);
  return [
    Math.floor(fewestBelow + share * (fewest - fewestBelow)),
    Math.ceil(mostBelow + share * (most - mostBelow)),
  ];
}

// What each node of a tree is coloured by.
function stepsOf(tree) {
  const [before, after] = tree.sides;
  const { frames } = changes.compared;
  return Int8Array.from(before.total, (weight, node) =>
    changes.step(changes.of(weight, after.total[node], frames)),
  );
}

function changeAt(tree, node) {
  const [before, after] = tree.sides;
  return changes.of(before.total[node], after.total[node], changes.compared.frames);
}

function changeMark(tree, node) {
  const mark = MARKS[changeAt(tree, node).trend];
  return mark && node ? `${mark} ` : "";
}

function changeColour(step, isDark) {
  const { colours } = changes.compared;
  const colour = colours[step + (colours.length - 1) / 2];
  return isDark ? darker(colour) : colour;
}

// Fills by place of the colour. What shrank is hatched: colour is not all that tells it.
function changeFills(context, isDark) {
  const made = new Map();
  return (step) => {
    let fill = made.get(step);
    if (fill === undefined) {
      const colour = changeColour(step, isDark);
      fill = step < 0 ? hatched(context, colour, isDark) : colour;
      made.set(step, fill);
    }
    return fill;
  };
}

const HATCH_PX = 8;

function hatched(context, colour, isDark) {
  const tile = make("canvas", { width: HATCH_PX, height: HATCH_PX });
  const pen = tile.getContext("2d");
  pen.fillStyle = colour;
  pen.fillRect(0, 0, HATCH_PX, HATCH_PX);
  pen.strokeStyle = isDark ? "rgb(255 255 255 / 25%)" : "rgb(255 255 255 / 65%)";
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (const from of [-HATCH_PX, 0, HATCH_PX]) {
    pen.moveTo(from - 1, HATCH_PX + 1);
    pen.lineTo(from + HATCH_PX + 1, -1);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat");
}
